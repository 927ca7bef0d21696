import js from "@eslint/js";
import reactHooks from "eslint-plugin-react-hooks";
import { defineConfig, globalIgnores } from "eslint/config";
import tseslint from "typescript-eslint";

export default defineConfig(
  globalIgnores(["dist/"]),
  js.configs.recommended,
  tseslint.configs.strict,
  tseslint.configs.stylistic,
  reactHooks.configs.flat.recommended,
  // A finding that is excused without need is a finding.
  { linterOptions: { reportUnusedDisableDirectives: "error" } },
  {
    // Faults that tsc lets pass and that only types show: promises that nobody waits for, `any`
    // from outside, objects shown as [object Object], methods that lose their object.
    files: ["src/**", "tests/**"],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      "@typescript-eslint/await-thenable": "error",
      "@typescript-eslint/no-base-to-string": "error",
      "@typescript-eslint/no-floating-promises": "error",
      "@typescript-eslint/no-misused-promises": "error",
      "@typescript-eslint/no-unsafe-argument": "error",
      "@typescript-eslint/no-unsafe-assignment": "error",
      "@typescript-eslint/no-unsafe-call": "error",
      "@typescript-eslint/no-unsafe-member-access": "error",
      "@typescript-eslint/no-unsafe-return": "error",
      "@typescript-eslint/unbound-method": "error",
    },
  },
  {
    // One bundle for every environment: what differs is asked for when the page is loaded.
    files: ["src/**"],
    rules: {
      "no-restricted-syntax": [
        "error",
        ...[
          'MemberExpression[object.type="MetaProperty"][property.name="env"]',
          'MemberExpression[object.name="process"][property.name="env"]',
        ].map((selector) => ({
          selector,
          message: "The bundle is the same in every environment: put it into /config.json.",
        })),
      ],
    },
  },
);
