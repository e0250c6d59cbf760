/**
 * @module
 * Makes and patches DOM nodes: the one way in which the pages put anything on the screen.
 *
 * Text becomes text nodes and attributes are set one by one; nothing here parses HTML, so that no
 * text of a model can become markup. What to show, and when, is the callers'.
 */

/** @typedef {Node | string | number | null | undefined | false} Child */

/**
 * Attributes by name, handlers as `onclick` and the like, `class`, and `data-…`, `aria-…`.
 * `true` sets an attribute without a value; `false`, null and undefined leave it out.
 *
 * @typedef {Record<string, string | number | boolean | null | undefined | ((event: any) => void)>}
 *   Props
 */

const SVG = "http://www.w3.org/2000/svg";

/**
 * Makes an element.
 *
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Props | null} [props]
 * @param {...(Child | readonly Child[])} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  if (props) setProps(element, props);
  append(element, children);
  return element;
}

/**
 * Makes an SVG picture of strokes from path data, on a grid of 24; invisible to screen readers.
 *
 * @param {readonly string[]} paths
 * @param {string} [className]
 * @returns {SVGSVGElement}
 */
export function strokes(paths, className = "icon") {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", className);
  svg.setAttribute("aria-hidden", "true");
  for (const d of paths) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", d);
    svg.append(path);
  }
  return svg;
}

/**
 * Sets attributes and handlers on an element; see {@link Props}.
 *
 * @param {Element} element
 * @param {Props} props
 */
export function setProps(element, props) {
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === "function") {
      element.addEventListener(name.slice(2), value);
    } else if (value === false || value === null || value === undefined) {
      element.removeAttribute(name);
    } else {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
}

/**
 * @param {Element | DocumentFragment} parent
 * @param {readonly (Child | readonly Child[])[]} children
 */
function append(parent, children) {
  for (const child of children) {
    if (Array.isArray(child)) append(parent, child);
    else if (child instanceof Node) parent.append(child);
    else if (child || child === 0) parent.append(String(child));
  }
}

/**
 * Sets the text of an element, if it is another one.
 *
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Sets or, with null, removes an attribute, if that changes anything.
 *
 * @param {Element} element
 * @param {string} name
 * @param {string | null} value
 */
export function setAttribute(element, name, value) {
  if (element.getAttribute(name) === value) return;
  if (value === null) element.removeAttribute(name);
  else element.setAttribute(name, value);
}

/**
 * Makes `nodes` the children of `parent`, in this order.
 *
 * A node that stays where it is is not taken out, so that it keeps focus, selection and scroll.
 *
 * @param {Element} parent
 * @param {readonly Node[]} nodes
 */
export function setChildren(parent, nodes) {
  const wanted = new Set(nodes);
  for (let child = parent.firstChild; child; ) {
    const next = child.nextSibling;
    if (!wanted.has(child)) child.remove();
    child = next;
  }
  /** @type {ChildNode | null} */
  let place = parent.firstChild;
  for (const node of nodes) {
    if (node === place) place = place.nextSibling;
    else parent.insertBefore(node, place);
  }
}

/**
 * Finds the element that must be there, of the class that it must be.
 *
 * @template {Element} E
 * @param {ParentNode} root
 * @param {string} selector
 * @param {new () => E} type
 * @returns {E}
 */
export function find(root, selector, type) {
  const element = root.querySelector(selector);
  if (!(element instanceof type)) throw new Error(`no ${type.name} is ${selector}`);
  return element;
}

/**
 * Runs `draw` once before the next frame, however often it is asked for.
 *
 * A page in the background gets no frames; it draws once it is seen again.
 *
 * @param {() => void} draw
 * @returns {() => void} asks for it
 */
export function oncePerFrame(draw) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      draw();
    });
  };
}
