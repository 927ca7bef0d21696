import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from "react";

import {
  askQuestion,
  explain,
  getQuestion,
  listQuestions,
  loadConfig,
  type Config,
  type Question,
} from "./api";

/** Pauses between requests for new answers, in milliseconds: the first, its growth, the longest. */
const PAUSE = { first: 1000, growth: 1.5, longest: 15_000 };

const isWaiting = (question: Question) => question.status === "waiting";

function watchVisibility(onChange: () => void) {
  document.addEventListener("visibilitychange", onChange);
  return () => {
    document.removeEventListener("visibilitychange", onChange);
  };
}

/** The page's configuration, or the problem with it; neither while it loads. */
export function useConfig() {
  const [config, setConfig] = useState<Config>();
  const [problem, setProblem] = useState<string>();
  const [attempt, setAttempt] = useState(0);

  useEffect(() => {
    const controller = new AbortController();
    loadConfig(controller.signal).then(setConfig, (error: unknown) => {
      if (!controller.signal.aborted) setProblem(explain(error));
    });
    return () => {
      controller.abort();
    };
  }, [attempt]);

  const retry = () => {
    setProblem(undefined);
    setAttempt((count) => count + 1);
  };
  return { config, problem, retry };
}

/**
 * The questions of the API at this path, newest first (undefined while they load), and the problem
 * with reading them. While a question waits or the API does not answer, and the page is visible, it
 * reads them again: after one second, then less and less often.
 */
export function useQuestions(api: string) {
  const [questions, setQuestions] = useState<Question[]>();
  const [problem, setProblem] = useState<string>();
  const [round, setRound] = useState(0);
  const visible = useSyncExternalStore(watchVisibility, () => !document.hidden);
  const posting = useRef<AbortController>(undefined);

  useEffect(() => {
    if (!visible) return undefined;
    const controller = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;

    const look = async (pause: number) => {
      let again = true;
      try {
        const list = await listQuestions(api, controller.signal);
        controller.signal.throwIfAborted();
        again = list.some(isWaiting);
        setQuestions(list);
        setProblem(undefined);
      } catch (error) {
        if (controller.signal.aborted) return;
        setProblem(explain(error));
      }
      if (again) {
        timer = setTimeout(() => {
          void look(Math.min(pause * PAUSE.growth, PAUSE.longest));
        }, pause);
      }
    };

    void look(PAUSE.first);
    return () => {
      controller.abort();
      clearTimeout(timer);
    };
  }, [api, round, visible]);

  useEffect(
    () => () => {
      posting.current?.abort();
    },
    [api],
  );

  /** Asks; raises ApiError if the API did not accept the question. */
  const ask = useCallback(
    async (text: string) => {
      posting.current = new AbortController();
      const question = await askQuestion(api, text, posting.current.signal);
      setQuestions((list = []) => [question, ...list]);
      setRound((count) => count + 1);
    },
    [api],
  );

  const retry = () => {
    setProblem(undefined);
    setRound((count) => count + 1);
  };
  return { questions, problem, ask, retry };
}

/** The answer to a question. A long answer is cut until `load` has loaded the rest. */
export function useWholeAnswer(api: string, { id, answer, truncated }: Question) {
  const [whole, setWhole] = useState<Question>();
  const [problem, setProblem] = useState<string>();
  const loading = useRef<AbortController>(undefined);

  useEffect(
    () => () => {
      loading.current?.abort();
    },
    [],
  );

  const load = () => {
    const { signal } = (loading.current = new AbortController());
    setProblem(undefined);
    getQuestion(api, id, signal).then(setWhole, (error: unknown) => {
      if (!signal.aborted) setProblem(explain(error));
    });
  };

  if (whole) return { answer: whole.answer };
  return { answer: truncated ? `${answer ?? ""}…` : answer, problem, load: truncated && load };
}
