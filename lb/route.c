#include "lb/route.h"

/* Rules 1 and 2. */
static enum route_outcome choose_by_cid(struct membership *membership,
                                        const struct classification *class, struct member **member)
{
    struct member *named = membership_find(membership, class->worker);
    if (named && named->state == MEMBER_SERVING) {
        *member = named;
        return ROUTE_BY_CID;
    }
    *member = membership_choose(membership, class->cid, class->cid_length);
    if (!*member)
        return ROUTE_NO_WORKER;
    if ((*member)->state == MEMBER_SERVING || !named || named->state == MEMBER_DEAD)
        return ROUTE_REHASHED;
    /* Nobody serves, and the session's own worker is still there: it knows the session best. */
    *member = named;
    return ROUTE_BY_CID;
}

/* Rules 3 and 4. */
static enum route_outcome choose_by_source(struct membership *membership,
                                           const struct classification *class,
                                           const struct address *source, const struct flow *flow,
                                           struct member **member)
{
    struct member *known = flow ? membership_find(membership, flow->worker) : NULL;
    bool lives = known && known->state != MEMBER_DEAD;
    /* A handshake is in its worker's memory alone and ends there; a session can go to an heir. */
    bool may_leave = lives && known->state == MEMBER_DRAINING && class->carries_data;
    if (lives && !may_leave) {
        *member = known;
        return ROUTE_BY_FLOW;
    }

    /* In wire form, so that each lb hashes the same octets whatever its byte order. */
    uint8_t octets[ADDRESS_WIRE_SIZE];
    struct writer writer = writer_over(octets, sizeof(octets));
    address_write(&writer, source);
    *member = membership_choose(membership, octets, sizeof(octets));
    if (may_leave && (*member)->state != MEMBER_SERVING) {
        *member = known;
        return ROUTE_BY_FLOW;
    }
    return *member ? ROUTE_HASHED : ROUTE_NO_WORKER;
}

static size_t at_most(size_t length, size_t bound)
{
    return length < bound ? length : bound;
}

/* Rule 5. The length of the kid goes in front: kid "a" with context "bc" is not "ab" with "c". */
static enum route_outcome choose_by_oscore(struct membership *membership,
                                           const struct oscore_ids *ids, struct member **member)
{
    uint8_t octets[2 + 2 * ROUTE_OSCORE_ID_MAX];
    struct writer writer = writer_over(octets, sizeof(octets));
    writer_u16(&writer, (uint16_t)ids->kid_length);
    writer_bytes(&writer, ids->kid, at_most(ids->kid_length, ROUTE_OSCORE_ID_MAX));
    writer_bytes(&writer, ids->context, at_most(ids->context_length, ROUTE_OSCORE_ID_MAX));
    *member = membership_choose(membership, octets, writer_length(&writer));
    return *member ? ROUTE_BY_OSCORE : ROUTE_NO_WORKER;
}

bool route_asks_flow(const struct classification *class)
{
    return class->outcome == CLASS_NO_CID;
}

enum route_outcome route_choose(struct membership *membership, const struct classification *class,
                                const struct address *source, const struct flow *flow,
                                struct member **member)
{
    *member = NULL;
    switch (class->outcome) {
    case CLASS_ROUTABLE_CID:
        return choose_by_cid(membership, class, member);
    case CLASS_NO_CID:
        return choose_by_source(membership, class, source, flow, member);
    case CLASS_OSCORE:
        return choose_by_oscore(membership, &class->oscore, member);
    case CLASS_UNROUTABLE_CID:
    case CLASS_UNKNOWN_CONFIG:
    case CLASS_WRONG_LENGTH:
    case CLASS_MALFORMED:
    case CLASS_VERSION:
        return ROUTE_UNROUTABLE;
    }
    return ROUTE_UNROUTABLE;
}
