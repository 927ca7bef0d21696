import { useRef, useState } from "react";

import type { Question } from "./api";
import { Composer } from "./Composer";
import { useConfig, useQuestions, useWholeAnswer } from "./hooks";

const EXAMPLES = [
  "What can you help with?",
  "Explain a queue to a child.",
  "Name my sailing boat.",
];

const askedAt = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });

/** The whole page. The project's name comes from the title in index.html. */
export function App() {
  const { config, problem, retry } = useConfig();
  return (
    <div className="page">
      <header className="top">
        <img src="/favicon.svg" alt="" width="28" height="28" />
        <span>{document.title}</span>
      </header>
      <main>
        {problem !== undefined && (
          <Problem title="The page could not be set up" detail={problem} onRetry={retry} />
        )}
        {problem === undefined && !config && <Loading />}
        {config && (config.api === "" ? <NoApi /> : <Conversation api={config.api} />)}
      </main>
    </div>
  );
}

function Conversation({ api }: { api: string }) {
  const { questions, problem, ask, retry } = useQuestions(api);
  const [draft, setDraft] = useState("");
  const field = useRef<HTMLTextAreaElement>(null);

  const compose = (text: string) => {
    setDraft(text);
    field.current?.focus();
  };

  return (
    <>
      <div className="hero">
        <h1>What would you like to know?</h1>
        <p>Ask in your own words. The answer appears here as soon as it is ready.</p>
      </div>
      <Composer draft={draft} field={field} onDraft={setDraft} onAsk={ask} />
      {problem !== undefined && (
        <Problem title="The questions could not be loaded" detail={problem} onRetry={retry} />
      )}
      {problem === undefined && !questions && <Loading />}
      {questions?.length === 0 && <Empty onExample={compose} />}
      {questions && questions.length > 0 && (
        <section aria-labelledby="questions">
          <h2 id="questions">Questions</h2>
          <ol className="questions">
            {questions.map((question) => (
              <li key={question.id}>
                <Card api={api} question={question} onAgain={compose} />
              </li>
            ))}
          </ol>
        </section>
      )}
    </>
  );
}

interface CardProps {
  api: string;
  question: Question;
  onAgain: (text: string) => void;
}

function Card({ api, question, onAgain }: CardProps) {
  const { id, text, status, model, asked_at } = question;
  const { answer, problem, load } = useWholeAnswer(api, question);
  const heading = `question-${String(id)}`;
  return (
    <article className="card" aria-labelledby={heading}>
      <header>
        <h3 id={heading}>{text}</h3>
        <time dateTime={asked_at}>{askedAt.format(new Date(asked_at))}</time>
      </header>
      <div className={`reply ${status}`} aria-live="polite">
        {status === "waiting" && (
          <p className="dots">
            Waiting for an answer
            <i />
            <i />
            <i />
          </p>
        )}
        {status === "answered" && (
          <>
            <p className="answer">{answer}</p>
            {load && <button onClick={load}>Show the whole answer</button>}
            {problem !== undefined && <p role="alert">{problem}</p>}
            <p className="source">
              {model !== null && <span className="model">{model}</span>}
              {duration(question)}
            </p>
          </>
        )}
        {status === "failed" && (
          <>
            <p>{answer ?? "This question could not be answered."}</p>
            <button
              onClick={() => {
                onAgain(text);
              }}
            >
              Ask again
            </button>
          </>
        )}
      </div>
    </article>
  );
}

/** How long the answer took, for people: "1.4 s", "3 min", or nothing where it is not known. */
function duration({ asked_at, answered_at }: Question): string {
  if (answered_at === null) return "";
  const seconds = (Date.parse(answered_at) - Date.parse(asked_at)) / 1000;
  return seconds < 60 ? `${seconds.toFixed(1)} s` : `${(seconds / 60).toFixed(0)} min`;
}

function Empty({ onExample }: { onExample: (text: string) => void }) {
  return (
    <section className="empty" aria-labelledby="empty">
      <h2 id="empty">No questions yet</h2>
      <p>Yours will be the first. You could start with one of these:</p>
      <ul>
        {EXAMPLES.map((example) => (
          <li key={example}>
            <button
              onClick={() => {
                onExample(example);
              }}
            >
              {example}
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

function NoApi() {
  return (
    <section className="notice">
      <h1>This project has no API yet</h1>
      <p>This page asks questions of an API. Add one to the project, with a name of your choice:</p>
      <pre>
        <code>inv add api NAME</code>
      </pre>
      <p>
        Then start everything again with <code>inv dev</code>, and this page is ready to ask.
      </p>
    </section>
  );
}

function Problem(props: { title: string; detail: string; onRetry: () => void }) {
  return (
    <section className="notice problem" role="alert">
      <h2>{props.title}</h2>
      <p>{props.detail}</p>
      <button onClick={props.onRetry}>Try again</button>
    </section>
  );
}

function Loading() {
  return (
    <p className="loading dots" role="status">
      Loading
      <i />
      <i />
      <i />
    </p>
  );
}
