import effect from "@effect/eslint-plugin"
import tseslint from "typescript-eslint"

// Importing a barrel loads everything behind it: 0.15 s of start-up and 27 MB of memory in the bundled command.
const barrels = ["effect", "@effect/platform", "@effect/platform-node", "@effect/cli"].map((name) => ({
  name,
  message: `Import the module: import * as Module from "${name}/Module"`
}))

const noExtraneousRunners = {
  selector:
    "MemberExpression[object.name='Effect'][property.name=/^(runPromise|runPromiseExit|runFork|runSync|runSyncExit|runCallback)$/]",
  message: "Effects are run by src/bin.ts alone; from callbacks use a FiberSet's runtime or the Runtime at hand"
}

export default tseslint.config(
  {
    ignores: [
      "**/dist/**",
      "**/node_modules/**",
      "coverage/**",
      "src/proto/generated/**",
      "src/embedded/page/generated.ts"
    ]
  },
  {
    files: ["**/*.ts", "**/*.js"],
    extends: [tseslint.configs.recommended],
    plugins: { "@effect": effect },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "@effect/dprint": ["error", {
        config: {
          indentWidth: 2,
          lineWidth: 120,
          semiColons: "asi",
          quoteStyle: "alwaysDouble",
          trailingCommas: "never",
          operatorPosition: "nextLine",
          "arrowFunction.useParentheses": "force",
          "module.sortImportDeclarations": "maintain",
          "module.sortExportDeclarations": "maintain"
        }
      }],
      "@typescript-eslint/no-restricted-imports": ["error", { paths: barrels }],
      "@typescript-eslint/consistent-type-imports": ["error", { fixStyle: "separate-type-imports" }],
      "@typescript-eslint/array-type": ["error", { default: "generic", readonly: "generic" }],
      // An object type without members is how Data.taggedEnum names a state that carries nothing.
      "@typescript-eslint/no-empty-object-type": "off",
      // A tag's service may be described in a namespace of its name.
      "@typescript-eslint/no-namespace": "off",
      "@typescript-eslint/no-unused-vars": ["error", {
        argsIgnorePattern: "^_",
        varsIgnorePattern: "^_",
        ignoreRestSiblings: true
      }],
      // Generators without yield are Effects that have nothing to wait for.
      "require-yield": "off",
      // Text from elsewhere is checked for control characters on purpose.
      "no-control-regex": "off",
      "eqeqeq": "error",
      "no-console": "off"
    }
  },
  {
    files: ["src/**/*.ts"],
    ignores: ["src/bin.ts"],
    rules: { "no-restricted-syntax": ["error", noExtraneousRunners] }
  },
  {
    // A function fits a screen. One that cannot is excepted where it stands, with the reason.
    files: ["src/**/*.ts"],
    rules: { "max-lines-per-function": ["error", { max: 80, skipBlankLines: true, skipComments: true }] }
  },
  {
    // grpc-js's own description of a method has lost its message types; ours are put back at this boundary.
    files: ["src/grpc/GrpcService.ts", "src/grpc/GrpcServer.ts", "src/grpc/ServerCalls.ts"],
    rules: { "@typescript-eslint/no-explicit-any": "off" }
  }
)
