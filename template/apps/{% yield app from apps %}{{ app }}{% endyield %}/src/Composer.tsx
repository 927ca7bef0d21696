import { useState, type KeyboardEvent, type RefObject } from "react";

import { explain, LONGEST_QUESTION } from "./api";

const MODIFIER = navigator.userAgent.includes("Mac") ? "⌘" : "Ctrl";

interface ComposerProps {
  draft: string;
  field: RefObject<HTMLTextAreaElement | null>;
  onDraft: (text: string) => void;
  /** Stores the question. If it throws, the error is shown and the draft stays. */
  onAsk: (text: string) => Promise<void>;
}

/** The form in which a question is written and sent, by button or by Ctrl/Cmd + Enter. */
export function Composer({ draft, field, onDraft, onAsk }: ComposerProps) {
  const [sending, setSending] = useState(false);
  const [problem, setProblem] = useState<string>();

  const text = draft.trim();
  // The API counts code points, not UTF-16 units: an emoji is one character.
  const length = Array.from(text).length;
  const excess = length - LONGEST_QUESTION;
  const message =
    excess > 0
      ? `Too long: shorten the question by ${count(excess)} ${excess === 1 ? "character" : "characters"}.`
      : problem;

  const submit = async () => {
    if (sending || length === 0 || excess > 0) return;
    setSending(true);
    setProblem(undefined);
    try {
      await onAsk(text);
      onDraft("");
    } catch (error) {
      setProblem(explain(error));
    }
    setSending(false);
    field.current?.focus();
  };

  const submitByKey = (event: KeyboardEvent) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      void submit();
    }
  };

  return (
    <form
      className="composer"
      onSubmit={(event) => {
        event.preventDefault();
        void submit();
      }}
    >
      <label htmlFor="question">Your question</label>
      <textarea
        id="question"
        ref={field}
        rows={3}
        value={draft}
        placeholder="Ask anything…"
        aria-describedby="question-length question-problem"
        aria-invalid={excess > 0}
        onChange={(event) => {
          onDraft(event.target.value);
        }}
        onKeyDown={submitByKey}
      />
      <div className="composer-foot">
        <span className="keys">
          <kbd>{MODIFIER}</kbd> <kbd>Enter</kbd>
        </span>
        <span id="question-length" className={excess > 0 ? "length excess" : "length"}>
          {count(length)} / {count(LONGEST_QUESTION)}
        </span>
        <button className="primary" disabled={sending || length === 0 || excess > 0}>
          {sending ? "Asking…" : "Ask"}
        </button>
      </div>
      <p id="question-problem" className="composer-problem" role="alert">
        {message}
      </p>
    </form>
  );
}

function count(value: number): string {
  return value.toLocaleString("en-GB");
}
