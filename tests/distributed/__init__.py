"""`telephony.contrib.celery` on real servers: redis-server, RabbitMQ, Celery workers as processes.

They need both servers installed (``.ci/install`` does so), and are run by name:
``python -m pytest -n0 tests/distributed/with_redis.py``, or all by ``.ci/distributed``.
"""
