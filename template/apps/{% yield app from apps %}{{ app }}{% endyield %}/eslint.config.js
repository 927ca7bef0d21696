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
  // A comment that disables a rule without need is an error.
  { linterOptions: { reportUnusedDisableDirectives: "error" } },
  {
    // Mistakes that tsc accepts and that only types show: promises that nobody awaits, `any` from
    // outside, objects shown as [object Object], methods that lose their object.
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
    // The bundle is the same in every environment: the page loads its configuration at run time.
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
