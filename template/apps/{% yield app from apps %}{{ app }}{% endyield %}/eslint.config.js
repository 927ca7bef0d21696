import js from "@eslint/js";
import reactHooks from "eslint-plugin-react-hooks";
import { defineConfig, globalIgnores } from "eslint/config";
import tseslint from "typescript-eslint";

export default defineConfig(
  globalIgnores(["dist/"]),
  js.configs.recommended,
  tseslint.configs.strictTypeChecked,
  tseslint.configs.stylisticTypeChecked,
  reactHooks.configs.flat.recommended,
  {
    // A third quicker here than the project service, which is made for editors.
    languageOptions: { parserOptions: { project: "./tsconfig.json" } },
    // A finding that is excused without need is a finding.
    linterOptions: { reportUnusedDisableDirectives: "error" },
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
  // Vite and ESLint load these at every run: their types would double the time of the check.
  { files: ["*.config.*"], extends: [tseslint.configs.disableTypeChecked] },
);
