# syntax=docker/dockerfile:1

# --- build: the locked packages and nextbest itself, in a virtual environment -------------------------------------
FROM python:3.12-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/nextbest
WORKDIR /src
# The packages first: a change of code does not install them anew.
COPY requirements.lock ./
RUN /opt/nextbest/bin/pip install --require-hashes --no-deps -r requirements.lock
COPY . .
RUN /opt/nextbest/bin/pip install --no-deps . \
    && /opt/nextbest/bin/python -m compileall -q /opt/nextbest/lib

# --- run ---------------------------------------------------------------------------------------------------------
FROM python:3.12-slim
LABEL org.opencontainers.image.title="nextbest" org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --system --gid 10001 nextbest \
    && useradd --system --uid 10001 --gid nextbest --home-dir /var/lib/nextbest --create-home nextbest
COPY --from=build /opt/nextbest /opt/nextbest
# One thread per BLAS call: the vectors are short, and the cores belong to the other processes.
ENV PATH=/opt/nextbest/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 \
    NEXTBEST_HOST=0.0.0.0 \
    NEXTBEST_PORT=8700 \
    NEXTBEST_METRICS_HOST=0.0.0.0 \
    NEXTBEST_METRICS_PORT=8701 \
    NEXTBEST_DATA_DIR=/var/lib/nextbest
USER 10001:10001
WORKDIR /var/lib/nextbest
VOLUME /var/lib/nextbest
EXPOSE 8700 8701
# 8700 is the API; on 8701 every role tells how it is, for Prometheus and probes: publish it to nobody else.
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=5 CMD ["nextbest", "ready"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["nextbest"]
CMD ["api"]
