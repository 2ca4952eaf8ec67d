# docker build -t kammil .
# docs/deploy.md says how it is run.

FROM python:3.11-slim AS build
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN python -m venv /opt/kammil && /opt/kammil/bin/pip install --no-cache-dir '.[serve]'

FROM python:3.11-slim
COPY --from=build /opt/kammil /opt/kammil
RUN useradd --uid 10001 --no-log-init --no-create-home kammil
ENV PATH=/opt/kammil/bin:$PATH PYTHONDONTWRITEBYTECODE=1
USER 10001
# Models and profiles; the server only reads them.
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health', timeout=4)"]
# Outside the container, -p says who reaches it.
ENTRYPOINT ["kammil", "serve", "--host", "0.0.0.0"]
CMD ["levantine"]
