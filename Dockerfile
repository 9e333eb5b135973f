# One image for a Troupe node. Alone it keeps its store under /data with a nats-server of its own;
# with NATS_URL it uses that one. TROUPE_API_KEYS must be set: it serves all addresses.

FROM node:20-bookworm-slim AS dependencies
WORKDIR /app
# The packages' list and what runs after their installation; the source comes later, so that a
# change in it does not install again.
COPY package.json package-lock.json .npmrc ./
COPY scripts ./scripts
RUN npm ci --omit=dev && npm cache clean --force

FROM node:20-bookworm-slim
# What the system's certificate store is needed for: TLS to NATS, model endpoints and call-backs.
RUN apt-get update \
  && apt-get install -y --no-install-recommends ca-certificates \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY --from=dependencies /app ./
COPY bin ./bin
COPY src ./src
COPY proto ./proto
COPY LICENSE ./
# The program belongs to root and is only read; the store belongs to the user that runs it.
RUN mkdir /data && chown node:node /data
USER node
VOLUME /data
ENV NODE_ENV=production HOST=0.0.0.0 PORT=8000 TROUPE_DATA=/data
EXPOSE 8000 50051
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/readyz`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# Node gets the stop signal itself and drains; give it more time than TROUPE_DRAIN_MS.
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "/app/bin/troupe.js"]
CMD ["start"]
