import { beforeEach, describe, expect, it, vi } from "vitest";

import { ApiError, askQuestion, explain, listQuestions, loadConfig } from "../src/api";

const fetchDouble = vi.fn<typeof fetch>();
const { signal } = new AbortController();

beforeEach(() => {
  fetchDouble.mockReset();
  vi.stubGlobal("fetch", fetchDouble);
});

describe("the client", () => {
  it("posts a question as JSON to the given API", async () => {
    const asked = {
      id: 7,
      text: "Why?",
      status: "waiting",
      answer: null,
      model: null,
      asked_at: "2026-11-22T17:04:00+00:00",
      answered_at: null,
      truncated: false,
    };
    fetchDouble.mockResolvedValue(Response.json(asked, { status: 201 }));
    expect(await askQuestion("/api/shop", "Why?", signal)).toEqual(asked);
    const [url, init] = fetchDouble.mock.calls[0] ?? [];
    expect(url).toBe("/api/shop/questions");
    expect(init).toMatchObject({
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: '{"text":"Why?"}',
    });
  });

  it.each([
    ["an object in place of the list", {}],
    ["an unknown status", [{ id: 1, text: "Why?", status: "lost" }]],
    ["no body", undefined],
  ])("refuses an answer with %s", async (_, body) => {
    fetchDouble.mockResolvedValue(new Response(JSON.stringify(body)));
    await expect(listQuestions("/api/shop", signal)).rejects.toThrow(
      "/api/shop/questions answered in a form that this page does not know.",
    );
  });

  it("refuses an HTML page in place of config.json", async () => {
    fetchDouble.mockResolvedValue(new Response("<!doctype html>"));
    await expect(loadConfig(signal)).rejects.toThrow("/config.json answered in a form");
  });

  it("shows the API's reason for an error, if it gives one", async () => {
    fetchDouble.mockResolvedValueOnce(Response.json({ detail: "no database" }, { status: 503 }));
    await expect(listQuestions("", signal)).rejects.toThrow("The API answered 503: no database");
    fetchDouble.mockResolvedValueOnce(new Response("<h1>Bad gateway</h1>", { status: 502 }));
    await expect(listQuestions("", signal)).rejects.toThrow("The API answered 502. Its log says");
  });

  it("shows the id of a failed request", async () => {
    const headers = { "x-request-id": "4f2a" };
    fetchDouble.mockResolvedValueOnce(new Response("", { status: 500, headers }));
    await expect(listQuestions("", signal)).rejects.toThrow(
      "answered 500 to request 4f2a. Its log",
    );
  });

  it("says that nothing answered if the network fails", async () => {
    fetchDouble.mockRejectedValue(new TypeError("Failed to fetch"));
    await expect(listQuestions("", signal)).rejects.toThrow(ApiError);
    await expect(listQuestions("", signal)).rejects.toThrow("Nothing answered.");
  });

  it("gives up after ten seconds without an answer", async () => {
    const clock = new AbortController();
    const timeout = vi.spyOn(AbortSignal, "timeout").mockReturnValue(clock.signal);
    fetchDouble.mockImplementation(
      (_, init) =>
        new Promise((_, reject) => {
          init?.signal?.addEventListener("abort", () => {
            reject(new DOMException("too late", "TimeoutError"));
          });
        }),
    );
    const look = listQuestions("", signal);
    expect(timeout).toHaveBeenCalledWith(10_000);
    clock.abort();
    await expect(look).rejects.toThrow("Nothing answered.");
  });

  it("shows errors of the page itself", () => {
    expect(explain(new RangeError("out of range"))).toBe(
      "Something went wrong: RangeError: out of range",
    );
  });
});
