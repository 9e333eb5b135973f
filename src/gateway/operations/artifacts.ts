/**
 * Operations on artifacts: read one (files with a pre-signed URL) and the download that such a
 * URL leads to. An artifact's id contains its root, so no index is needed.
 */
import { z } from "zod";
import type { BlobRef } from "../../actors/client.ts";
import { address, isKey, rootOf } from "../../machines/address.ts";
import { TroupeError } from "../../machines/errors.ts";
import { listOf, toArtifact } from "../dialects/002/map.ts";
import { artifact } from "../dialects/002/schema.ts";
import type { ArtifactView, List } from "../dialects/002/views.ts";
import { defineOperation, type OperationContext } from "../operation.ts";
import { absent, whole } from "./values.ts";

const artifactId = z.string().min(1).max(400);

/** The entry in its run or, for a task of its own, in the task. Throws `not_found`. */
async function find(ctx: OperationContext, id: string): Promise<ArtifactView> {
  const root = rootOf(id);
  if (!isKey(root) || root === id) throw absent("artifact", id);
  for (const type of root.startsWith("run_") ? ["run", "task"] : ["task", "run"]) {
    const answer = await ctx.runtime.read(address(type, root)).catch((error: unknown) => {
      if (error instanceof TroupeError && error.code === "not_found") return null;
      throw error;
    });
    const list = (answer?.view as { artifacts?: List<ArtifactView> } | undefined)?.artifacts;
    const found = listOf<ArtifactView>(list).find((entry) => entry.artifactId === id);
    if (found !== undefined) return found;
  }
  throw absent("artifact", id);
}

/** RFC 6266: an ASCII name for old clients, the real one in UTF-8. */
export function contentDisposition(name: string): string {
  const plain = name.replace(/[^\x20-\x7e]|["\\%/]/g, "_");
  const encoded = encodeURIComponent(name.replace(/\p{Cs}/gu, "_")).replace(
    /['()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return `attachment; filename="${plain}"; filename*=UTF-8''${encoded}`;
}

function safeMimeType(type: string): string {
  return /^[\w.+-]+\/[\w.+-]+(; ?[\w-]+=[\w."-]+)*$/.test(type) ? type : "application/octet-stream";
}

const common = { tags: ["artifacts"], method: "GET" } as const;

export const artifactOperations = [
  defineOperation({
    ...common,
    name: "artifacts.get",
    summary: "Read an artifact",
    description: "A file comes as a pre-signed URL that needs no credential and expires.",
    path: "/v1/artifacts/{artifact_id}",
    scope: "runs:read",
    errors: ["not_found"],
    input: z.strictObject({ artifact_id: artifactId }),
    output: artifact,
    async handle(ctx, input) {
      const view = await find(ctx, input.artifact_id);
      if (view.type !== "file") return toArtifact(view, await whole(ctx.runtime, view.data), null);
      const expiresAt = Math.floor((ctx.runtime.now() + ctx.limits.downloadTtlMs) / 1000) * 1000;
      const target = await ctx.downloads.sign(view.artifactId, expiresAt);
      return toArtifact(view, null, { url: `${ctx.baseUrl}${target}`, expiresAt });
    },
  }),
  defineOperation({
    ...common,
    name: "artifacts.download",
    summary: "Download a file artifact by its pre-signed URL",
    path: "/v1/artifacts/{artifact_id}/download",
    scope: null,
    errors: ["forbidden", "not_found"],
    streams: "application/octet-stream",
    input: z.strictObject({
      artifact_id: artifactId,
      expires: z.string().regex(/^\d{1,12}$/, "expected seconds since 1970"),
      signature: z.string().min(1).max(200),
    }),
    output: z.unknown(),
    handle: () => Promise.reject(new TroupeError("not_acceptable", "A download is served over HTTP only")),
    async stream(ctx, input, request) {
      await ctx.downloads.verify(request.target, input.artifact_id, input.expires, ctx.runtime.now());
      const view = await find(ctx, input.artifact_id);
      const chunks = view.blob === undefined ? null : await ctx.runtime.values.stream(view.blob as unknown as BlobRef);
      if (chunks === null) throw absent("file of artifact", input.artifact_id);
      return {
        headers: [
          ["content-type", safeMimeType(view.mimeType)],
          ["content-disposition", contentDisposition(view.name)],
          ["cache-control", "private, no-store"],
          ["x-content-type-options", "nosniff"],
          ["content-security-policy", "sandbox; default-src 'none'"],
        ],
        ...(view.bytes !== undefined && { size: view.bytes }),
        chunks,
      };
    },
  }),
];
