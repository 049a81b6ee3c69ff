#include "worker/client.h"

static void settled(void *owner, const struct transmission_report *report)
{
    struct client *client = owner;
    errand_settled(&client->errands, report);
}

/* A notification that comes while its registration is being renewed belongs to either. */
static enum coap_heard hear(void *owner, const struct coap_peer *peer, struct coap_now now,
                            const struct message *response)
{
    struct client *client = owner;
    (void)now; /* coap_clock */
    enum coap_heard heard = errand_hear(&client->errands, peer, response);
    if (heard == COAP_HEARD_UNKNOWN)
        heard = observation_hear(&client->observations, peer, response);
    return heard;
}

enum status client_init(struct client *client, const struct client_options *options,
                        uint64_t now_ms)
{
    const struct observations_options observations = {
        .coap = options->coap,
        .errands = &client->errands,
        .store = options->store,
        .hash_key = options->hash_key,
        .seed = options->seed,
        .lose = options->lose,
        .owner = options->owner,
    };
    const struct coap_party party = {.owner = client, .settled = settled, .hear = hear};
    enum status status = errands_init(&client->errands, options->coap, &options->hash_key, now_ms);
    if (status == STATUS_OK)
        status = observations_init(&client->observations, &observations, now_ms);
    if (status == STATUS_OK)
        coap_join(options->coap, TRANSMISSION_REQUEST, &party);
    return status;
}

void client_free(struct client *client)
{
    observations_free(&client->observations);
    errands_free(&client->errands);
}

void client_forget(struct client *client, uint64_t session_id)
{
    observation_forget(&client->observations, session_id);
    errand_forget(&client->errands, session_id);
}

uint64_t client_next_ms(const struct client *client)
{
    uint64_t errands_ms = errand_next_ms(&client->errands);
    uint64_t observations_ms = observation_next_ms(&client->observations);
    return errands_ms < observations_ms ? errands_ms : observations_ms;
}

void client_run(struct client *client, uint64_t now_ms)
{
    errand_run(&client->errands, now_ms);
    observation_run(&client->observations, now_ms);
}
