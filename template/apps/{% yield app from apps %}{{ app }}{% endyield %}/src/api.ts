/** The client of the API. It checks the shape of every answer before the page uses it. */
import * as v from "valibot";

/** The longest question, in characters after stripping. */
export const LONGEST_QUESTION = 2000;

/** How long a request may take before the page says that nothing answered, in milliseconds. */
const PATIENCE = 10_000;

const timestamp = v.pipe(v.string(), v.isoTimestamp());

const configSchema = v.object({
  /** Where the API is, as a path ("/api/backend"); empty in a project without one. */
  api: v.string(),
});

const questionSchema = v.object({
  id: v.number(),
  text: v.string(),
  status: v.picklist(["waiting", "answered", "failed"]),
  answer: v.nullable(v.string()),
  model: v.nullable(v.string()),
  asked_at: timestamp,
  answered_at: v.nullable(timestamp),
  /** Whether the answer is only the beginning of a long one. */
  truncated: v.optional(v.boolean(), false),
});

const refusalSchema = v.object({ detail: v.string() });

export type Config = v.InferOutput<typeof configSchema>;
export type Question = v.InferOutput<typeof questionSchema>;

/** A failed request; its message is for the person who uses the page. */
export class ApiError extends Error {}

/** The message for the person who uses the page, about anything that was thrown. */
export function explain(error: unknown): string {
  return error instanceof ApiError ? error.message : `Something went wrong: ${String(error)}`;
}

/** The page's runtime configuration. Raises ApiError. */
export async function loadConfig(signal: AbortSignal): Promise<Config> {
  return request(configSchema, "/config.json", { cache: "no-cache", signal });
}

/** The newest questions, newest first, with the beginning of each answer. Raises ApiError. */
export async function listQuestions(api: string, signal: AbortSignal): Promise<Question[]> {
  return request(v.array(questionSchema), `${api}/questions`, { signal });
}

/** One question with its whole answer. Raises ApiError. */
export async function getQuestion(api: string, id: number, signal: AbortSignal): Promise<Question> {
  return request(questionSchema, `${api}/questions/${String(id)}`, { signal });
}

/** Stores a question (1 to 2000 characters) and returns it, still waiting. Raises ApiError. */
export async function askQuestion(
  api: string,
  text: string,
  signal: AbortSignal,
): Promise<Question> {
  return request(questionSchema, `${api}/questions`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ text }),
    signal,
  });
}

async function request<Schema extends v.GenericSchema>(
  schema: Schema,
  url: string,
  init: RequestInit & { signal: AbortSignal },
): Promise<v.InferOutput<Schema>> {
  let response: Response;
  let body: string;
  try {
    const signal = AbortSignal.any([init.signal, AbortSignal.timeout(PATIENCE)]);
    response = await fetch(url, { ...init, signal });
    body = await response.text();
  } catch (cause) {
    throw new ApiError("Nothing answered. Check the connection, and that the server is running.", {
      cause,
    });
  }
  const answer = v.safeParse(v.pipe(v.string(), v.parseJson()), body).output;
  if (!response.ok) {
    const id = response.headers.get("x-request-id"); // the services log the request with this id
    const answered = `The API answered ${String(response.status)}${id === null ? "" : ` to request ${id}`}`;
    throw new ApiError(
      v.is(refusalSchema, answer)
        ? `${answered}: ${answer.detail}`
        : `${answered}. Its log says why.`,
    );
  }
  const result = v.safeParse(schema, answer);
  if (!result.success) {
    throw new ApiError(
      `${url} answered in a form that this page does not know. Are both of the same version?`,
    );
  }
  return result.output;
}
