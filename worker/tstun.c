#include "worker/tstun.h"

#include "worker/represent.h"

#include <string.h>

enum resource_outcome tstun_get(const struct resource_call *call, struct resource_reply *reply)
{
    const struct address *address = &call->peer->path.address;
    char text[ADDRESS_TEXT_MAX];
    reply->code = CODE_CONTENT;
    reply->has_format = true;
    reply->format = call->format;
    if (call->format == FORMAT_TEXT) {
        address_format(address, text);
        writer_bytes(&reply->payload, text, strlen(text));
        return RESOURCE_DONE;
    }
    const struct represent_field fields[] = {
        {"ip", REPRESENT_TEXT, .text = address_format_ip(address, text)},
        {"port", REPRESENT_NUMBER, .number = address->port},
        {"family", REPRESENT_NUMBER, .number = address_is_v4(address) ? 4 : 6},
    };
    represent_map(&reply->payload, call->format, fields, sizeof fields / sizeof *fields);
    return RESOURCE_DONE;
}
