/**
 * `GET /docs`: Swagger UI from the installed package, without any request to another host.
 * Files are read when first asked for and kept.
 */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const page = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Troupe API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
<link rel="icon" type="image/png" href="/docs/favicon-32x32.png">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
`;

const start = `window.ui = SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  validatorUrl: null,
});
`;

const types: Readonly<Record<string, string>> = {
  "swagger-ui.css": "text/css; charset=utf-8",
  "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
  "favicon-32x32.png": "image/png",
};

export interface DocsFile {
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string | Uint8Array;
}

const policy =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; font-src 'self'";

export class Docs {
  private readonly folder = dirname(createRequire(import.meta.url).resolve("swagger-ui-dist/package.json"));
  private readonly files = new Map<string, Promise<Uint8Array>>();

  /** The file at a path under `/docs`, or null. */
  async find(path: string): Promise<DocsFile | null> {
    if (path === "/docs" || path === "/docs/") {
      return {
        headers: [
          ["content-type", "text/html; charset=utf-8"],
          ["content-security-policy", policy],
        ],
        body: page,
      };
    }
    const name = path.slice("/docs/".length);
    if (name === "start.js") return { headers: [["content-type", "text/javascript; charset=utf-8"]], body: start };
    const type = Object.hasOwn(types, name) ? types[name] : undefined;
    if (type === undefined) return null;
    let file = this.files.get(name);
    if (file === undefined) {
      file = readFile(join(this.folder, name));
      this.files.set(name, file);
      file.catch(() => this.files.delete(name));
    }
    return {
      headers: [
        ["content-type", type],
        ["cache-control", "public, max-age=3600"],
      ],
      body: await file,
    };
  }
}
