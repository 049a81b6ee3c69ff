#include "worker/deferral.h"

#include <assert.h>

static uint64_t hash_ticket(const struct hash_key *key, uint64_t ticket)
{
    return hash_bytes(key, &ticket, sizeof ticket);
}

static uint64_t hash_deferral(const void *context, const void *object)
{
    return hash_ticket(context, ((const struct deferral *)object)->ticket);
}

static bool match_deferral(const void *object, const void *key)
{
    return ((const struct deferral *)object)->ticket == *(const uint64_t *)key;
}

enum status deferrals_init(struct deferrals *deferrals, size_t deferrals_max,
                           struct hash_key hash_key)
{
    *deferrals = (struct deferrals){.hash_key = hash_key};
    wheel_init(&deferrals->wheel, 0);
    enum status status = table_init(&deferrals->by_ticket, deferrals_max, match_deferral,
                                    hash_deferral, &deferrals->hash_key);
    if (status == STATUS_OK)
        status = pool_init(&deferrals->pool, sizeof(struct deferral), deferrals_max);
    if (status != STATUS_OK)
        deferrals_free(deferrals);
    return status;
}

void deferrals_free(struct deferrals *deferrals)
{
    pool_free(&deferrals->pool);
    table_free(&deferrals->by_ticket);
    *deferrals = (struct deferrals){0};
}

bool deferral_has_room(const struct deferrals *deferrals)
{
    return deferrals->pool.in_use < deferrals->pool.objects_max;
}

/* The options of what parsed fit a message, in as many octets as they came in or fewer. */
static size_t write_head(uint8_t *space, size_t size, const struct message *request)
{
    struct writer writer = writer_over(space, size);
    struct message_builder builder;
    message_begin(&builder, &writer, request->type, request->code, request->id, request->token,
                  request->token_length);
    for (size_t i = 0; i < request->option_count; i++)
        message_add_option(&builder, request->options[i].number, request->options[i].value,
                           request->options[i].length);
    return writer_ok(&writer) ? writer_length(&writer) : 0;
}

struct deferral *deferral_open(struct deferrals *deferrals, const struct coap_peer *peer,
                               const struct message *request, uint64_t ticket,
                               const struct deferral_due *due)
{
    struct deferral *deferral = pool_get(&deferrals->pool);
    if (!deferral)
        return NULL;
    deferral->ticket = ticket;
    deferral->peer = *peer;
    deferral->expires_ms = due->expires_ms;
    deferral->request_length = request->length;
    deferral->length = (uint16_t)write_head(deferral->bytes, sizeof deferral->bytes, request);
    if (deferral->length == 0 ||
        table_insert(&deferrals->by_ticket, hash_ticket(&deferrals->hash_key, ticket), deferral) !=
            STATUS_OK) {
        pool_put(&deferrals->pool, deferral);
        return NULL;
    }
    wheel_set(&deferrals->wheel, &deferral->timer,
              request->type == MESSAGE_CON ? due->acknowledged_ms : due->expires_ms);
    return deferral;
}

struct deferral *deferral_find(const struct deferrals *deferrals, uint64_t ticket)
{
    return table_find(&deferrals->by_ticket, hash_ticket(&deferrals->hash_key, ticket), &ticket);
}

void deferral_request(const struct deferral *deferral, struct message *request)
{
    enum message_outcome outcome = message_parse(request, deferral->bytes, deferral->length);
    assert(outcome == MESSAGE_OK);
    (void)outcome;
    request->length = deferral->request_length;
}

void deferral_close(struct deferrals *deferrals, struct deferral *deferral)
{
    wheel_cancel(&deferrals->wheel, &deferral->timer);
    table_remove(&deferrals->by_ticket, hash_ticket(&deferrals->hash_key, deferral->ticket),
                 deferral);
    pool_put(&deferrals->pool, deferral);
}

void deferral_forget(struct deferrals *deferrals, uint64_t session_id)
{
    size_t cursor = 0;
    while (deferrals->by_ticket.count > 0) {
        struct deferral *deferral = table_next(&deferrals->by_ticket, &cursor);
        if (!deferral)
            return;
        if (deferral->peer.session_id != session_id)
            continue;
        deferral_close(deferrals, deferral);
        cursor = 0; /* the table has changed under the walk */
    }
}

uint64_t deferral_next_ms(const struct deferrals *deferrals)
{
    return wheel_next_ms(&deferrals->wheel);
}

struct deferral *deferral_take(struct deferrals *deferrals, uint64_t now_ms)
{
    return (struct deferral *)wheel_expire(&deferrals->wheel, now_ms);
}

void deferral_acknowledge(struct deferrals *deferrals, struct deferral *deferral)
{
    deferral->acknowledged = true;
    wheel_set(&deferrals->wheel, &deferral->timer, deferral->expires_ms);
}
