#include "shared/status.h"

const char *status_text(enum status status)
{
    switch (status) {
    case STATUS_OK:
        return "ok";
    case STATUS_MALFORMED:
        return "malformed";
    case STATUS_UNSUPPORTED:
        return "unsupported";
    case STATUS_TOO_LONG:
        return "too long";
    case STATUS_FULL:
        return "full";
    case STATUS_NOT_FOUND:
        return "not found";
    case STATUS_EXISTS:
        return "exists";
    case STATUS_BAD_TAG:
        return "bad tag";
    case STATUS_REPLAYED:
        return "replayed";
    case STATUS_EXHAUSTED:
        return "exhausted";
    case STATUS_NO_MEMORY:
        return "no memory";
    case STATUS_CRYPTO:
        return "crypto failure";
    case STATUS_SYSTEM:
        return "system error";
    }
    return "unknown status";
}
