// The form of a question: which fields its schema makes, and what answer they make.

import assert from "node:assert/strict";
import { test } from "node:test";
import { answerOf, fieldsOf } from "../../chat/question.js";

const SCHEMA = {
  type: "object",
  properties: {
    name: { type: "string", title: "Your name" },
    how_many: { type: "integer", description: "At most ten", default: 3 },
    size: { type: "string", enum: ["small", "large"] },
    wrapped: { type: "boolean", default: true },
  },
  required: ["name", "how_many"],
};

test("an object has a field for each property", () => {
  const fields = fieldsOf(SCHEMA);
  assert.deepEqual(
    fields.map((field) => [field.name, field.label, field.type, field.isRequired, field.initial]),
    [
      ["name", "Your name", "string", true, null],
      ["how_many", "how many", "integer", true, "3"],
      ["size", "size", "string", false, null],
      ["wrapped", "wrapped", "boolean", false, true],
    ],
  );
  assert.deepEqual(fields[2]?.options, ["small", "large"]);
  assert.equal(fields[1]?.help, "At most ten");
});

test("the answer has the types of the schema, and leaves out what is empty", () => {
  const fields = fieldsOf(SCHEMA);
  assert.deepEqual(answerOf(fields, ["Ada", "4", "", false]), {
    name: "Ada",
    how_many: 4,
    wrapped: false,
  });
});

test("whatever the schema is, there is something to fill in", () => {
  for (const schema of [null, undefined, {}, { type: "object" }, "text", [1], { properties: 7 }]) {
    const fields = fieldsOf(schema);
    assert.equal(fields.length, 1, JSON.stringify(schema));
    assert.equal(answerOf(fields, ["yes"]), "yes");
  }
  assert.equal(answerOf(fieldsOf({ type: "number" }), ["2.5"]), 2.5);
});
