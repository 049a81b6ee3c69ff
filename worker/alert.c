#include "worker/alert.h"

#include "shared/cursor.h"

enum alert_outcome alert_read(const uint8_t *content, size_t length)
{
    struct cursor cursor = cursor_over(content, length);
    uint8_t level = cursor_u8(&cursor);
    uint8_t description = cursor_u8(&cursor);
    if (!cursor_ok(&cursor) || cursor_left(&cursor) > 0)
        return ALERT_NONSENSE;
    /* RFC 5246 section 7.2.1: close_notify closes at whatever level it comes. */
    if (description == ALERT_CLOSE_NOTIFY)
        return ALERT_CLOSES;
    switch (level) {
    case ALERT_WARNING:
        return ALERT_IGNORED;
    case ALERT_FATAL:
        return ALERT_ENDS;
    default:
        return ALERT_NONSENSE;
    }
}
