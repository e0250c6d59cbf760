// A chat with the Vercel AI SDK, unchanged: `useChat` sends, streams and resumes. What it leaves to
// an application is here: loading the chat, stopping the turn, beginning anew after a cut.
import { useChat } from "@ai-sdk/react";
import { useEffect, useState } from "react";
import { createRoot } from "react-dom/client";

const id = location.hash.slice(1) || crypto.randomUUID();
location.hash = id;
const RETRY_MS = 500;
const post = (path, body) =>
  fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });

function App() {
  const [loaded, setLoaded] = useState(null);
  const load = () =>
    fetch(`/api/chat/${id}/messages`)
      .then((response) => response.json())
      .then((messages) => setLoaded({ messages, at: performance.now() }))
      .catch(() => setTimeout(load, RETRY_MS));
  useEffect(() => void load(), []);
  // Another key is another chat object: it knows nothing of the connection that was lost.
  return loaded && <Chat key={loaded.at} loaded={loaded.messages} reload={load} />;
}

function Chat({ loaded, reload }) {
  const { messages, sendMessage, status, error } = useChat({ id, messages: loaded, resume: true });
  const isCut = error instanceof TypeError;
  useEffect(() => (isCut ? void setTimeout(reload, RETRY_MS) : undefined), [isCut]);
  const send = (event) => {
    event.preventDefault();
    sendMessage({ text: event.target.text.value });
    event.target.reset();
  };
  return (
    <main data-status={isCut ? "cut" : status}>
      {messages.map(({ id, role, parts, metadata }) => (
        <article key={id} data-role={role}>
          {parts.map((part, n) => <Part key={n} part={part} />)}
          {metadata?.error && <em>{metadata.error.message}</em>}
        </article>
      ))}
      {error && !isCut && <p role="alert">{error.message}</p>}
      <form onSubmit={send}>
        <input name="text" autoFocus autoComplete="off" />
        <button>send</button>
        <button type="button" onClick={() => post(`/api/chat/${id}/stop`)}>stop</button>
      </form>
    </main>
  );
}

function Part({ part: { type, id: request, text, toolName, state, data } }) {
  if (type === "text") return <p>{text}</p>;
  if (type === "reasoning") return <blockquote>{text}</blockquote>;
  if (type === "dynamic-tool") return <code>{`${toolName}: ${state}`}</code>;
  if (type !== "data-request" || data.outcome || !data.options) return null;
  const path = `/v1/chats/${id}/requests/${request}/respond`;
  return data.options.map(({ option_id, name }) => (
    <button key={option_id} onClick={() => post(path, { option_id })}>{name}</button>
  ));
}

createRoot(document.body.appendChild(document.createElement("div"))).render(<App />);
