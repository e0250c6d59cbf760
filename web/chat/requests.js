/**
 * @module
 * Shows what waits for the reader: approvals as buttons, questions as a form.
 *
 * A card is made once for a request, so that what is typed into it stays; it goes away when the
 * request is answered, by whomever. Reading a schema is `question.js`'s.
 */

import { h, setChildren, setText, strokes } from "../page/dom.js";
import { QUESTION } from "../page/icons.js";
import { clockText } from "../page/time.js";
import { refusalText } from "./failure.js";
import { answerOf, fieldsOf } from "./question.js";

/**
 * @typedef {import("../client/index.js").RequestRow} RequestRow
 * @typedef {import("./question.js").Field} Field
 * @typedef {{outcome?: "selected" | "denied" | "dismissed", optionId?: string, content?: unknown}}
 *   Answer
 * @typedef {(requestId: string, answer: Answer) => Promise<void>} Respond
 */

/**
 * @param {HTMLElement} parent
 * @param {Respond} respond
 * @param {() => void} focusElsewhere where the focus goes from a card that goes away
 */
export function createRequests(parent, respond, focusElsewhere) {
  /** @type {Map<string, HTMLElement>} */
  let cards = new Map();
  /** @type {readonly RequestRow[] | null} */
  let shown = null;

  /** @param {readonly RequestRow[]} requests */
  return (requests) => {
    if (requests === shown) return;
    shown = requests;
    const hadFocus = parent.contains(document.activeElement);
    const kept = new Map();
    for (const request of requests) {
      const card = cards.get(request.request_id) ?? requestCard(request, respond);
      kept.set(request.request_id, card);
    }
    cards = kept;
    setChildren(parent, [...cards.values()]);
    parent.hidden = requests.length === 0;
    if (hadFocus && !parent.contains(document.activeElement)) focusElsewhere();
  };
}

/**
 * @param {RequestRow} request
 * @param {Respond} respond
 */
function requestCard(request, respond) {
  const problem = h("p", { class: "problem small", role: "alert", hidden: true });
  /** @param {Answer} answer */
  const answer = async (answer) => {
    // Its buttons are not disabled meanwhile: the one that has the focus would lose it.
    if (card.getAttribute("aria-busy") === "true") return;
    card.setAttribute("aria-busy", "true");
    problem.hidden = true;
    try {
      await respond(request.request_id, answer);
    } catch (error) {
      setText(problem, refusalText(error));
      problem.hidden = false;
      card.removeAttribute("aria-busy");
    }
  };
  const status = h("span", { class: "status", "data-state": "waiting" }, "waiting for you");
  const until = request.type === "permission" && request.expires_at !== null
    ? h("span", { class: "small muted number" }, `until ${clockText(request.expires_at)}`)
    : null;
  const body = request.type === "permission"
    ? permissionNodes(request, answer)
    : questionNodes(request, answer);
  const props = {
    class: "request",
    role: "group",
    "aria-label": "waiting for you",
    "data-request-id": request.request_id,
  };
  const card = h("section", props, h("p", { class: "request-head" }, status, until), body, problem);
  return card;
}

/**
 * @param {Extract<RequestRow, {type: "permission"}>} request
 * @param {(answer: Answer) => void} answer
 */
function permissionNodes({ tool, options }, answer) {
  const title = tool?.title ?? tool?.name ?? "Go on?";
  const isFirst = options.findIndex((option) => option.kind.startsWith("allow"));
  const buttons = options.map((option, n) =>
    h(
      "button",
      {
        type: "button",
        class: n === isFirst ? "primary" : option.kind.startsWith("reject") ? "reject" : "",
        onclick: () => answer({ outcome: "selected", optionId: option.option_id }),
      },
      option.name,
    ),
  );
  if (options.length === 0) {
    const deny = () => answer({ outcome: "denied" });
    buttons.push(h("button", { type: "button", onclick: deny }, "no"));
  }
  return [
    h("p", { class: "ask" }, strokes(QUESTION), h("span", null, title)),
    tool?.title && tool.name !== tool.title && h("p", { class: "small muted mono" }, tool.name),
    tool?.input !== undefined && inputNode(tool.input),
    h("div", { class: "actions" }, buttons),
  ];
}

/** @param {unknown} input */
function inputNode(input) {
  const text = typeof input === "string" ? input : JSON.stringify(input, null, 2);
  const props = { class: "ask-input", tabindex: "0", role: "group", "aria-label": "input" };
  return h("pre", props, h("code", null, text));
}

/**
 * @param {Extract<RequestRow, {type: "elicitation"}>} request
 * @param {(answer: Answer) => void} answer
 */
function questionNodes({ request_id, message, schema }, answer) {
  const fields = fieldsOf(schema);
  const inputs = fields.map((field) => fieldNode(request_id, field));
  const form = h(
    "form",
    null,
    inputs.map((input) => input.node),
    h(
      "div",
      { class: "actions" },
      h("button", { type: "submit", class: "primary" }, "answer"),
      h(
        "button",
        { type: "button", class: "quiet", onclick: () => answer({ outcome: "dismissed" }) },
        "dismiss",
      ),
    ),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const content = answerOf(fields, inputs.map((input) => input.value()));
    answer({ outcome: "selected", content });
  });
  return [h("p", { class: "ask" }, strokes(QUESTION), h("span", null, message)), form];
}

/**
 * @param {string} requestId
 * @param {Field} field
 * @returns {{node: HTMLElement, value: () => string | boolean}}
 */
function fieldNode(requestId, field) {
  const id = `answer-${requestId}-${field.name}`;
  const help = field.help ? h("span", { class: "small muted" }, field.help) : null;
  if (field.type === "boolean") {
    const input = h("input", { id, type: "checkbox" });
    input.checked = field.initial === true;
    const label = h("label", { class: "check", for: id }, input, h("span", null, field.label));
    return { node: h("div", { class: "field" }, label, help), value: () => input.checked };
  }
  const input = field.options ? selectNode(id, field, field.options) : inputOf(id, field);
  input.value = typeof field.initial === "string" ? field.initial : "";
  const label = h("label", { for: id }, field.label, !field.isRequired && " (may be left out)");
  return { node: h("div", { class: "field" }, label, input, help), value: () => input.value };
}

/**
 * @param {string} id
 * @param {Field} field
 * @param {readonly string[]} options
 */
function selectNode(id, field, options) {
  const choices = options.map((option) => h("option", { value: option }, option));
  const none = h("option", { value: "" }, "…");
  return h("select", { id, required: field.isRequired }, none, choices);
}

/**
 * @param {string} id
 * @param {Field} field
 */
function inputOf(id, field) {
  const isNumber = field.type === "number" || field.type === "integer";
  const props = { id, required: field.isRequired, autocomplete: "off" };
  if (!isNumber) return h("input", { ...props, type: "text" });
  return h("input", { ...props, type: "number", step: field.type === "integer" ? "1" : "any" });
}
