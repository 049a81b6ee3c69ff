#include "worker/event.h"

#include "worker/item.h"

#include <string.h>

static void write_text(struct writer *writer, const char *text)
{
    item_write_text(writer, text, strlen(text));
}

static void write_number(struct writer *writer, const char *key, uint64_t number)
{
    write_text(writer, key);
    item_write_number(writer, number);
}

static void write_octets(struct writer *writer, const char *key, const struct octets *octets)
{
    write_text(writer, key);
    item_write_octets(writer, octets->bytes, octets->length);
}

void event_write(struct writer *writer, const struct event *event)
{
    item_write_map(writer, 8u + event->has_format + event->has_observe);
    write_number(writer, "version", EVENT_VERSION);
    write_number(writer, "time", event->unix_ms);
    write_text(writer, "path");
    write_text(writer, event->path);
    write_octets(writer, "identity", &event->identity);
    write_octets(writer, "cid", &event->cid);
    write_number(writer, "message_id", event->message_id);
    write_number(writer, "slot", event->slot);
    if (event->has_format)
        write_number(writer, "format", event->format);
    if (event->has_observe)
        write_number(writer, "observe", event->observe);
    write_octets(writer, "payload", &event->payload);
}
