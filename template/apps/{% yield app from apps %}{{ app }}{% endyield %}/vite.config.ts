import react from "@vitejs/plugin-react";
import * as v from "valibot";
import { loadEnv } from "vite";
import { defineConfig } from "vitest/config";

const apiProxy = v.pipe(
  v.string(),
  v.parseJson(),
  v.record(v.pipe(v.string(), v.startsWith("/")), v.pipe(v.string(), v.url())),
);

/** Vite's proxy rules for the value of API_PROXY, such as {"/api/NAME": "http://127.0.0.1:PORT"}. */
function proxyRules(text = "") {
  if (text === "") return {};
  const result = v.safeParse(apiProxy, text);
  if (!result.success) {
    throw new Error(
      `API_PROXY is not a JSON object like {"/api/NAME": "http://127.0.0.1:8000"}: ${text}`,
    );
  }
  return Object.fromEntries(
    Object.entries(result.output).map(([prefix, target]) => [
      // Vite takes a key that starts with ^ as a pattern: /api/shop must not catch /api/shop_two.
      `^${prefix}/`,
      { target, rewrite: (path: string) => path.slice(prefix.length) },
    ]),
  );
}

export default defineConfig(({ mode }) => ({
  plugins: [react()],
  server: {
    host: "127.0.0.1",
    strictPort: true,
    proxy: proxyRules(loadEnv(mode, ".", "API_PROXY").API_PROXY),
  },
  preview: { host: "127.0.0.1", strictPort: true },
  test: {
    environment: "happy-dom",
    // Testing Library cleans the page up after each test only when it finds the global hooks.
    globals: true,
    restoreMocks: true,
    unstubGlobals: true,
    coverage: {
      include: ["src/**/*.{ts,tsx}"],
      reporter: ["text"],
      // Checks do not change the tree, so intermediate files go into node_modules.
      reportsDirectory: "node_modules/.cache/coverage",
      thresholds: { lines: 90, functions: 90, branches: 90, statements: 90 },
    },
  },
}));
