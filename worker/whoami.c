#include "worker/whoami.h"

#include "worker/facts.h"
#include "worker/represent.h"

#define FIELDS_MAX 8

enum resource_outcome whoami_get(const struct resource_call *call, struct resource_reply *reply)
{
    struct session_facts facts;
    char address[ADDRESS_TEXT_MAX];
    char previous[ADDRESS_TEXT_MAX];
    struct represent_field fields[FIELDS_MAX];
    size_t count = 0;

    session_describe(call->peer->session, &facts);
    fields[count++] = (struct represent_field){
        "identity", REPRESENT_OCTETS, .bytes = facts.identity, .length = facts.identity_length};
    fields[count++] =
        (struct represent_field){"cipher_suite", REPRESENT_TEXT, .text = facts.cipher_suite};
    if (facts.own_cid.length > 0)
        fields[count++] =
            (struct represent_field){"server_cid", REPRESENT_HEX, .bytes = facts.own_cid.bytes,
                                     .length = facts.own_cid.length};
    if (facts.peer_cid.length > 0)
        fields[count++] =
            (struct represent_field){"client_cid", REPRESENT_HEX, .bytes = facts.peer_cid.bytes,
                                     .length = facts.peer_cid.length};
    fields[count++] =
        (struct represent_field){"worker", REPRESENT_NUMBER, .number = call->worker_id};
    fields[count++] = (struct represent_field){"address", REPRESENT_TEXT,
                                               .text = address_format(&facts.address, address)};
    if (facts.address_changes > 0)
        fields[count++] =
            (struct represent_field){"previous_address", REPRESENT_TEXT,
                                     .text = address_format(&facts.previous_address, previous)};
    fields[count++] = (struct represent_field){"address_changes", REPRESENT_NUMBER,
                                               .number = facts.address_changes};

    reply->code = CODE_CONTENT;
    reply->has_format = true;
    reply->format = call->format;
    reply->varies = true; /* by the address that the next request comes from */
    represent_map(&reply->payload, call->format, fields, count);
    return RESOURCE_DONE;
}
