# One image for all processes; the command chooses the process.

FROM python:3.13-slim AS packages
# The environment holds no pip, so the image cannot install anything later.
RUN python -m venv --without-pip /venv
# With LOCK=requirements-tracing.lock, OpenTelemetry is in the image.
ARG LOCK=requirements.lock
COPY requirements.lock requirements-tracing.lock ./
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /venv/bin/python install --require-hashes --only-binary :all: --no-deps -r "$LOCK"

FROM python:3.13-slim
# Docker gives an empty named volume the owner and mode of the folder that it is first mounted on. So `init` fills the
# volumes below without being root. A new service needs its name here.
RUN install -d -o 10001 -g 10001 -m 755 /secrets && cd /secrets \
 && install -d -o 10001 -g 10001 -m 755 accounts orders refunds chat cs web notifications dana operator gateway rabbitmq postgres redis \
                                              observability \
 && install -d -o 10001 -g 10001 -m 700 /data /data/rabbitmq /data/rabbitmq-2 /data/rabbitmq-3 /data/redis /data/dana \
                             /data/etcd-1 /data/etcd-2 /data/etcd-3 \
 && install -d -m 1777 /data/postgres /data/postgres-socket /data/postgres-2 /data/postgres-2-socket /data/postgres-3 \
                       /data/postgres-3-socket
ENV PATH=/venv/bin:$PATH PYTHONPATH=/app PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
WORKDIR /app
COPY --from=packages /venv /venv
COPY . .
# Readable for other users, even if the checkout is not.
RUN chmod -R a+rX . && python -m compileall -q .
USER 10001:10001
CMD ["python", "-m", "batalkan", "--help"]
