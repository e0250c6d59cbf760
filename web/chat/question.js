/**
 * @module
 * Turns the JSON schema of a question into fields, and what was filled in into its answer.
 *
 * Pure. It knows flat objects of texts, numbers, choices and yes or no; of another schema it makes
 * one field of free text, so that every question can be answered.
 */

/**
 * @typedef {object} Field
 * @property {string} name of the property; empty if the answer is not an object
 * @property {string} label
 * @property {string | null} help
 * @property {"string" | "number" | "integer" | "boolean"} type
 * @property {readonly string[] | null} options the choices, if it is one of a few
 * @property {boolean} isRequired
 * @property {string | boolean | null} initial
 */

/**
 * @param {unknown} schema
 * @returns {Field[]}
 */
export function fieldsOf(schema) {
  const properties = memberOf(schema, "properties");
  const required = memberOf(schema, "required");
  if (!isObject(properties) || Object.keys(properties).length === 0) {
    return [fieldOf("", schema, true)];
  }
  const names = Array.isArray(required) ? required : [];
  return Object.entries(properties).map(([name, one]) => fieldOf(name, one, names.includes(name)));
}

/**
 * @param {string} name
 * @param {unknown} schema
 * @param {boolean} isRequired
 * @returns {Field}
 */
function fieldOf(name, schema, isRequired) {
  const type = memberOf(schema, "type");
  const title = memberOf(schema, "title");
  const help = memberOf(schema, "description");
  const options = memberOf(schema, "enum");
  const initial = memberOf(schema, "default");
  const isKnown = type === "number" || type === "integer" || type === "boolean";
  const isPlain = typeof initial === "string" || typeof initial === "number";
  return {
    name,
    label: typeof title === "string" ? title : name.replaceAll("_", " ") || "your answer",
    help: typeof help === "string" ? help : null,
    type: isKnown ? type : "string",
    options: Array.isArray(options) ? options.map(String) : null,
    isRequired,
    initial: typeof initial === "boolean" ? initial : isPlain ? String(initial) : null,
  };
}

/**
 * @param {readonly Field[]} fields
 * @param {readonly (string | boolean)[]} values what was filled in, in the same order
 * @returns {unknown}
 */
export function answerOf(fields, values) {
  /** @type {Record<string, unknown>} */
  const answer = {};
  for (const [n, field] of fields.entries()) {
    const value = valueOf(field, values[n] ?? "");
    if (field.name === "") return value;
    if (value !== undefined) answer[field.name] = value;
  }
  return answer;
}

/**
 * @param {Field} field
 * @param {string | boolean} value
 */
function valueOf(field, value) {
  if (typeof value === "boolean") return value;
  if (value === "" && !field.isRequired) return undefined;
  const isNumber = field.type === "number" || field.type === "integer";
  return isNumber ? Number(value) : value;
}

/**
 * @param {unknown} value
 * @param {string} name
 * @returns {unknown}
 */
function memberOf(value, name) {
  return isObject(value) ? value[name] : undefined;
}

/**
 * @param {unknown} value
 * @returns {value is Record<string, unknown>}
 */
function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
