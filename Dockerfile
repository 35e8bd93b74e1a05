FROM python:3.12-slim

ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PRODUCTION=1

WORKDIR /app
RUN useradd --system --uid 10001 --home-dir /app prakerja

COPY requirements.txt .
RUN pip install -r requirements.txt

COPY . .
# Collecting static files needs no key; these are no keys, and they end with this step.
RUN SECRET_KEY=- SEALING_KEYS=- DIGEST_KEY=- python manage.py collectstatic --noinput

RUN install -d -o prakerja /published
USER prakerja
EXPOSE 8000
CMD ["gunicorn", "prakerja.wsgi", "--bind", "0.0.0.0:8000"]
