# Two images from one build: `gateway`, for production, and `simulator`, a Gladia that costs nothing.
#
#   docker build --target gateway -t gladia-gateway .
#   docker build --target simulator -t gladia-simulator .

FROM rust:1.95-slim-bookworm AS dependencies
WORKDIR /build
# aws-lc and zstd are C: the image has gcc, and nothing else is needed.
ENV SQLX_OFFLINE=true
COPY Cargo.toml Cargo.lock ./
# With empty sources the dependencies are all that is built: the layer is used again until Cargo.lock changes.
RUN mkdir src && touch src/lib.rs && echo 'fn main() {}' > src/main.rs

FROM dependencies AS build-gateway
RUN cargo build --release --locked --no-default-features --features otel
COPY . .
# The sources may be older than the build of the empty ones.
RUN touch src/lib.rs src/main.rs && cargo build --release --locked --no-default-features --features otel
# A volume that is mounted here takes over its owner.
RUN mkdir /spool

FROM dependencies AS build-simulator
RUN cargo build --release --locked
COPY . .
RUN touch src/lib.rs src/main.rs && cargo build --release --locked

# Distroless: glibc, CA certificates and an unprivileged user; no shell and no package manager.
FROM gcr.io/distroless/cc-debian12:nonroot AS simulator
COPY --from=build-simulator /build/target/release/gladia-gateway /usr/local/bin/gladia-gateway
EXPOSE 8090
ENTRYPOINT ["gladia-gateway"]
CMD ["simulate", "--listen", "0.0.0.0:8090"]

FROM gcr.io/distroless/cc-debian12:nonroot AS gateway
COPY --from=build-gateway /build/target/release/gladia-gateway /usr/local/bin/gladia-gateway
COPY --from=build-gateway --chown=65532:65532 /spool /var/lib/gladia-gateway/spool
ENV LISTEN_ADDR=0.0.0.0:8080
EXPOSE 8080
ENTRYPOINT ["gladia-gateway"]
CMD ["serve"]
