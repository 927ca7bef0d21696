import { act, fireEvent, render, screen, within } from "@testing-library/react";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import type { Question } from "../src/api";
import { App } from "../src/App";

/** An API in memory, which records the requests that it gets. */
const server = {
  config: { api: "/api/backend" },
  questions: [] as Question[],
  /** If set, every answer has this status. */
  broken: 0,
  calls: [] as string[],
  signals: [] as AbortSignal[],
};

async function respond(url: string, init: RequestInit = {}): Promise<Response> {
  server.calls.push(`${init.method ?? "GET"} ${url}`);
  if (init.signal) server.signals.push(init.signal);
  await Promise.resolve();
  init.signal?.throwIfAborted();
  if (server.broken) return new Response("", { status: server.broken });
  if (url === "/config.json") return Response.json(server.config);
  if (url.endsWith("/questions/7")) return Response.json(answered({ id: 7, answer: "All of it." }));
  if (init.method !== "POST") return Response.json(server.questions);
  const { text } = JSON.parse(init.body as string) as { text: string };
  const asked = question({ id: 10 + server.questions.length, text });
  server.questions = [asked, ...server.questions];
  return Response.json(asked, { status: 201 });
}

function question(fields: Partial<Question>): Question {
  return {
    id: 1,
    text: "Why?",
    status: "waiting",
    answer: null,
    model: null,
    asked_at: "2026-11-22T17:04:00.123456Z",
    answered_at: null,
    truncated: false,
    ...fields,
  };
}

function answered(fields: Partial<Question>): Question {
  const answered_at = "2026-11-22T17:04:01.523456Z";
  return question({ status: "answered", answer: "So.", model: "echo", answered_at, ...fields });
}

/** Lets promises and timers run for so many milliseconds. */
async function pass(milliseconds = 0) {
  await act(() => vi.advanceTimersByTimeAsync(milliseconds));
}

async function open() {
  const page = render(<App />);
  await pass();
  return page;
}

async function press(name: string) {
  fireEvent.click(screen.getByRole("button", { name }));
  await pass();
}

async function show(hidden: boolean) {
  vi.spyOn(document, "hidden", "get").mockReturnValue(hidden);
  fireEvent(document, new Event("visibilitychange"));
  await pass();
}

const field = () => screen.getByLabelText<HTMLTextAreaElement>("Your question");
const write = (value: string) => fireEvent.change(field(), { target: { value } });
const askButton = () => screen.getByRole<HTMLButtonElement>("button", { name: "Ask" });
const alerts = () => screen.queryAllByRole("alert").map((alert) => alert.textContent);
const looks = () => server.calls.filter((call) => call === "GET /api/backend/questions").length;
const posts = () => server.calls.filter((call) => call === "POST /api/backend/questions").length;

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("fetch", vi.fn(respond));
  document.title = "Harbor";
  Object.assign(server, {
    config: { api: "/api/backend" },
    questions: [],
    broken: 0,
    calls: [],
    signals: [],
  });
});

afterEach(() => {
  vi.useRealTimers();
});

describe("the page", () => {
  it("shows the project's name, and that it is loading", async () => {
    render(<App />);
    expect(screen.getByText("Harbor")).toBeTruthy();
    expect(screen.getByRole("status").textContent).toBe("Loading");
    await pass();
    expect(screen.queryByRole("status")).toBeNull();
  });

  it("says how to add an API if the project has none, and sends no other request", async () => {
    server.config = { api: "" };
    await open();
    expect(screen.getByRole("heading").textContent).toBe("This project has no API yet");
    expect(screen.getByText("inv add api NAME")).toBeTruthy();
    expect(server.calls).toEqual(["GET /config.json"]);
  });

  it("offers to try again if its configuration cannot be loaded", async () => {
    server.broken = 404;
    await open();
    expect(alerts().join()).toContain("The page could not be set up");
    server.broken = 0;
    await press("Try again");
    expect(alerts()).toEqual([""]);
    expect(screen.getByText("No questions yet")).toBeTruthy();
  });

  it("offers to try again if the questions cannot be loaded", async () => {
    server.questions = [answered({ text: "Still there?" })];
    render(<App />);
    await vi.waitFor(() => {
      expect(server.calls).toContain("GET /config.json");
    });
    server.broken = 503;
    await pass();
    expect(alerts().join()).toContain("The questions could not be loadedThe API answered 503.");
    server.broken = 0;
    await press("Try again");
    expect(screen.getByText("Still there?")).toBeTruthy();
  });

  it("copies an example into the form", async () => {
    await open();
    await press("Name my sailing boat.");
    expect(field().value).toBe("Name my sailing boat.");
    expect(document.activeElement).toBe(field());
    expect(posts()).toBe(0);
  });

  it("starts in the element with the id root, and fails without it", async () => {
    server.config = { api: "" };
    await expect(import("../src/main")).rejects.toThrow("no element with the id root");
    vi.resetModules();
    document.body.innerHTML = '<div id="root"></div>';
    await act(() => import("../src/main"));
    await pass();
    expect(screen.getByRole("heading").textContent).toBe("This project has no API yet");
    expect(alerts()).toEqual([]);
    document.body.innerHTML = "";
  });
});

describe("a question", () => {
  it("is shown as waiting, then with its answer and the model's name", async () => {
    await open();
    write("  Why is the sea salty?\n");
    await press("Ask");
    const card = screen.getByRole("article");
    expect(within(card).getByRole("heading").textContent).toBe("Why is the sea salty?");
    expect(within(card).getByText("Waiting for an answer")).toBeTruthy();
    expect(field().value).toBe("");

    server.questions = [
      answered({ id: 10, text: "Why is the sea salty?", answer: "Rivers,\nand time." }),
    ];
    await pass(1000);
    expect(card.querySelector("[aria-live=polite]")?.textContent).toBe(
      "Rivers,\nand time.echo1.4 s",
    );
  });

  it.each([{ ctrlKey: true }, { metaKey: true }])("is sent by Enter with %o", async (modifier) => {
    await open();
    write("Why?");
    fireEvent.keyDown(field(), { key: "Enter" });
    fireEvent.keyDown(field(), { key: "a", ...modifier });
    await pass();
    expect(posts()).toBe(0);
    fireEvent.keyDown(field(), { key: "Enter", ...modifier });
    await pass();
    expect(posts()).toBe(1);
  });

  it("is sent only once if the keys are pressed twice", async () => {
    await open();
    write("Why?");
    fireEvent.keyDown(field(), { key: "Enter", ctrlKey: true });
    fireEvent.keyDown(field(), { key: "Enter", ctrlKey: true });
    await pass();
    expect(posts()).toBe(1);
  });

  it("is not sent if it is empty or has only white space", async () => {
    await open();
    write(" \n ");
    fireEvent.keyDown(field(), { key: "Enter", ctrlKey: true });
    await pass();
    expect(askButton().disabled).toBe(true);
    expect(posts()).toBe(0);
  });

  it("may have 2000 characters and no more, and an emoji is one character", async () => {
    await open();
    write("🚢".repeat(2000));
    expect(screen.getByText("2,000 / 2,000")).toBeTruthy();
    expect(askButton().disabled).toBe(false);
    write("🚢".repeat(2001));
    expect(alerts()).toEqual(["Too long: shorten the question by 1 character."]);
    expect(field().getAttribute("aria-invalid")).toBe("true");
    expect(askButton().disabled).toBe(true);
    fireEvent.keyDown(field(), { key: "Enter", ctrlKey: true });
    await pass();
    expect(posts()).toBe(0);
    write("a".repeat(3200));
    expect(alerts()).toEqual(["Too long: shorten the question by 1,200 characters."]);
  });

  it("stays in the form, with the reason, if the API does not accept it", async () => {
    await open();
    write("Why?");
    server.broken = 500;
    await press("Ask");
    expect(alerts()).toEqual(["The API answered 500. Its log says why."]);
    expect(field().value).toBe("Why?");
    server.broken = 0;
    await press("Ask");
    expect(alerts()).toEqual([""]);
    expect(screen.getByRole("article")).toBeTruthy();
  });

  it("is shown even if the API does not answer after storing it", async () => {
    server.questions = [answered({})];
    await open();
    write("The newest?");
    vi.mocked(fetch).mockImplementationOnce(async (url, init) => {
      const response = await respond(url as string, init);
      server.broken = 502;
      return response;
    });
    await press("Ask");
    expect(alerts().join()).toContain("The API answered 502.");
    const names = screen.getAllByRole("heading", { level: 3 }).map((h) => h.textContent);
    expect(names).toEqual(["The newest?", "Why?"]);
    server.broken = 0;
    await pass(1000);
    expect(alerts()).toEqual([""]);
  });

  it("can be asked again if it failed", async () => {
    server.questions = [
      question({ id: 2, text: "How deep?", status: "failed" }),
      question({ id: 1, status: "failed", answer: "The model refused." }),
    ];
    await open();
    const refused = within(screen.getByRole("article", { name: "Why?" }));
    expect(refused.getByText("The model refused.")).toBeTruthy();
    const failed = within(screen.getByRole("article", { name: "How deep?" }));
    expect(failed.getByText("This question could not be answered.")).toBeTruthy();
    fireEvent.click(failed.getByRole("button", { name: "Ask again" }));
    expect(field().value).toBe("How deep?");
  });

  it("shows the beginning of a long answer, and a button for all of it", async () => {
    server.questions = [answered({ id: 7, answer: "All", truncated: true })];
    const { unmount } = await open();
    expect(screen.getByText("All…")).toBeTruthy();
    server.broken = 502;
    await press("Show the whole answer");
    expect(alerts().join()).toContain("The API answered 502.");
    server.broken = 0;
    await press("Show the whole answer");
    expect(screen.getByText("All of it.")).toBeTruthy();
    expect(screen.queryByRole("button", { name: "Show the whole answer" })).toBeNull();
    expect(alerts()).toEqual([""]);
    unmount();
    expect(server.signals.at(-1)?.aborted).toBe(true);
  });

  it("is shown above the older ones, with the duration of its answer", async () => {
    server.questions = [
      answered({ id: 3, model: null, answered_at: "2026-11-22T17:07:00Z" }),
      answered({ id: 2, answered_at: null }),
    ];
    await open();
    write("The newest?");
    await press("Ask");
    expect(screen.getAllByRole("heading", { level: 3 }).map((h) => h.textContent)).toEqual([
      "The newest?",
      "Why?",
      "Why?",
    ]);
    expect(screen.getAllByText(/^So/).map((p) => p.parentElement?.textContent)).toEqual([
      "So.3 min",
      "So.echo",
    ]);
  });
});

describe("polling for answers", () => {
  it("starts after one second, becomes less frequent, and ends with the last answer", async () => {
    server.questions = [question({})];
    await open();
    expect(looks()).toBe(1);
    await pass(1000);
    expect(looks()).toBe(2);
    await pass(1000);
    expect(looks()).toBe(2);
    await pass(500);
    expect(looks()).toBe(3);
    await pass(60_000);
    expect(looks()).toBeLessThan(12);

    server.questions = [answered({})];
    await pass(15_000);
    expect(screen.getByText("So.")).toBeTruthy();
    const before = looks();
    await pass(600_000);
    expect(looks()).toBe(before);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("continues after an error, which is shown meanwhile", async () => {
    server.questions = [question({})];
    await open();
    server.broken = 502;
    await pass(1000);
    expect(alerts().join()).toContain("The API answered 502.");
    expect(screen.getByText("Waiting for an answer")).toBeTruthy();
    server.broken = 0;
    server.questions = [answered({})];
    await pass(1500);
    expect(alerts()).toEqual([""]);
    expect(screen.getByText("So.")).toBeTruthy();
  });

  it("continues while the API does not answer, and ends when it is back", async () => {
    await open();
    server.broken = 502;
    await show(true);
    await show(false);
    expect(alerts().join()).toContain("The API answered 502.");
    await pass(60_000);
    expect(looks()).toBeLessThan(12);
    server.broken = 0;
    server.questions = [answered({})];
    await pass(15_000);
    expect(alerts()).toEqual([""]);
    expect(screen.getByText("So.")).toBeTruthy();
    expect(vi.getTimerCount()).toBe(0);
  });

  it("stops while the page is hidden, and continues at once when it is visible again", async () => {
    server.questions = [question({})];
    await open();
    await show(true);
    await pass(600_000);
    expect(looks()).toBe(1);
    await show(false);
    expect(looks()).toBe(2);
  });

  it("leaves no timer and no request when the page is closed", async () => {
    server.questions = [question({})];
    const { unmount } = await open();
    write("Another?");
    // From here on nothing answers: one poll and one question are in progress.
    vi.mocked(fetch).mockImplementation((_, init) => {
      if (init?.signal) server.signals.push(init.signal);
      return new Promise((_, reject) => {
        init?.signal?.addEventListener("abort", () => {
          reject(new DOMException("gone", "AbortError"));
        });
      });
    });
    await pass(1000);
    await press("Ask");
    const pending = server.signals.slice(-2);
    expect(pending.map((signal) => signal.aborted)).toEqual([false, false]);
    unmount();
    await pass();
    expect(pending.map((signal) => signal.aborted)).toEqual([true, true]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("sets no timer if an answer comes after the page is closed", async () => {
    server.questions = [question({})];
    const { unmount } = await open();
    vi.mocked(fetch).mockImplementation(() => Promise.resolve(Response.json(server.questions)));
    vi.advanceTimersByTime(1000);
    unmount();
    await pass();
    expect(vi.getTimerCount()).toBe(0);
  });

  it("does not start if the page is closed before its configuration is loaded", async () => {
    const { unmount } = render(<App />);
    unmount();
    await pass(60_000);
    expect(server.signals.map((signal) => signal.aborted)).toEqual([true]);
    expect(looks()).toBe(0);
  });
});
