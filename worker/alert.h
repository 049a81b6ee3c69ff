/* Alerts of DTLS 1.2: RFC 5246 section 7.2. */
#ifndef HOLDFAST_WORKER_ALERT_H
#define HOLDFAST_WORKER_ALERT_H

#include <stddef.h>
#include <stdint.h>

#define ALERT_SIZE 2

enum alert_level { ALERT_WARNING = 1, ALERT_FATAL = 2 };

enum alert_description {
    ALERT_CLOSE_NOTIFY = 0,
    ALERT_UNEXPECTED_MESSAGE = 10,
    ALERT_NO_RENEGOTIATION = 100,
};

enum alert_outcome {
    ALERT_CLOSES,   /* close_notify: answer with one and end the session */
    ALERT_ENDS,     /* fatal: end it, answer nothing */
    ALERT_IGNORED,  /* a warning */
    ALERT_NONSENSE, /* not an alert */
};

enum alert_outcome alert_read(const uint8_t *content, size_t length);

#endif
