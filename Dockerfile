# syntax=docker/dockerfile:1

# --- Build: a wheel of Zeratul and a virtual environment with it and what it needs -------------
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY zeratul zeratul
COPY schema schema
RUN python -m venv /opt/zeratul \
 && /opt/zeratul/bin/pip install --no-cache-dir --disable-pip-version-check . \
 && /opt/zeratul/bin/python -m compileall -q /opt/zeratul

# --- Run: no compiler, no source tree, no root --------------------------------------------------
FROM python:3.13-slim
RUN groupadd --gid 10001 zeratul \
 && useradd --uid 10001 --gid zeratul --no-create-home --home-dir /data --shell /usr/sbin/nologin zeratul \
 && install --directory --owner=zeratul --group=zeratul --mode=0700 /data
COPY --from=build /opt/zeratul /opt/zeratul
ENV PATH=/opt/zeratul/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    ZERATUL_DATA=/data
USER zeratul
WORKDIR /data
VOLUME /data
EXPOSE 8080
# Liveness only: a server that is still opening its tables answers 503 on /readyz, not here.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/healthz', timeout=2).close()"]
# Exec form: the server is process 1 and gets SIGTERM itself; it answers what waits, then exits.
STOPSIGNAL SIGTERM
ENTRYPOINT ["zeratul"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8080"]
