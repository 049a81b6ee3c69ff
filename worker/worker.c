#include "worker/worker_core.h"

#include "shared/frame.h"
#include "shared/log.h"

#include <stdlib.h>
#include <string.h>

/* How long a draining worker goes on at the least, so that each lb has heard of it with a PONG and
 * what was under way has arrived; and at the most, since whoever stops it will not wait for ever.
 */
#define DRAIN_LEAST_MS (4 * PING_INTERVAL_MS)
#define DRAIN_MOST_MS 1200

/* --- an id, and what it takes to serve --- */

static void joined(void *owner, uint16_t id)
{
    struct worker *worker = owner;
    enum status status = worker_start_coap(worker, id);
    if (status == STATUS_OK)
        status = worker_start_ps(worker);
    if (status == STATUS_OK)
        status = worker_start_dtls(worker, id);
    if (status == STATUS_OK)
        status = worker_start_heirs(worker, id);
    if (status == STATUS_OK)
        status = worker_start_client(worker, id);
    if (status != STATUS_OK) {
        log_line(LOG_ERROR, "worker", "cannot serve", "id=%u error=%s", id, status_text(status));
        worker->failed = true;
        worker->stage = WORKER_LOST;
        return;
    }
    worker->stage = WORKER_SERVING;
    member_serve(&worker->member);
    log_line(LOG_INFO, "worker", "joined", "id=%u", id);
}

static void lost(void *owner, uint16_t id)
{
    struct worker *worker = owner;
    worker->stage = WORKER_LOST;
    log_line(LOG_ERROR, "worker", "another process has this worker's id", "id=%u", id);
}

/* --- beginning, drain, turns, end --- */

static void receive_datagram(void *owner, const struct path *path, uint8_t *datagram, size_t length)
{
    struct worker *worker = owner;
    if (path->listener & FRAME_LISTENER_COAP)
        worker_receive_plain(worker, path, datagram, length);
    else
        dtls_receive(&worker->dtls, io_now_ms(worker->options.io), path, datagram, length);
}

static enum status new_uplink(struct worker *worker)
{
    const struct uplink_options options = {
        .io = worker->options.io,
        .bind = worker->options.link,
        .cluster_key = worker->options.cluster_key,
        .frame_size = worker->options.frame_size,
        .metrics = worker->options.metrics,
        .receive = receive_datagram,
        .owner = worker,
    };
    return uplink_new(&worker->uplink, &options);
}

/* Behind a wildcard, or where addresses are translated, nobody but the operator knows what the link
 * is called by those who are to reach it. */
static struct address advertised_link(const struct worker *worker)
{
    static const struct address none;
    struct address bound = uplink_local_address(worker->uplink);
    struct address link = worker->options.advertise;
    if (address_equal(&link, &none))
        return bound;
    if (link.port == 0)
        link.port = bound.port;
    return link;
}

/* A wildcard is at least where the link is. */
static struct address advertised_http(const struct worker *worker)
{
    static const uint8_t wildcard_v6[16], wildcard_v4[16] = {[10] = 0xff, [11] = 0xff};
    struct address http = worker->options.http;
    struct address link = advertised_link(worker);
    if (memcmp(http.ip, wildcard_v6, sizeof(http.ip)) == 0 ||
        memcmp(http.ip, wildcard_v4, sizeof(http.ip)) == 0)
        memcpy(http.ip, link.ip, sizeof(http.ip));
    return http;
}

static enum status start_member(struct worker *worker)
{
    const struct member_options options = {
        .store = worker->options.store,
        .entry =
            {
                .worker_id = worker->options.id,
                .boot = uplink_boot(worker->uplink),
                .link = advertised_link(worker),
                .http = advertised_http(worker),
            },
        .joined = joined,
        .lost = lost,
        .owner = worker,
    };
    return member_init(&worker->member, &options);
}

enum status worker_new(struct worker **created, const struct worker_options *options)
{
    struct worker *worker = calloc(1, sizeof(*worker));
    if (!worker)
        return STATUS_NO_MEMORY;
    worker->options = *options;
    enum status status = vault_init(&worker->vault, options->cluster_key, options->store_key_id);
    if (status == STATUS_OK)
        status = new_uplink(worker);
    if (status == STATUS_OK)
        status = start_member(worker);
    if (status != STATUS_OK) {
        worker_free(worker);
        return status;
    }
    *created = worker;
    return STATUS_OK;
}

void worker_free(struct worker *worker)
{
    if (!worker)
        return;
    if (worker->options.operators)
        http_serve(worker->options.operators, NULL, NULL, NULL);
    api_free(&worker->api);
    client_free(&worker->client);
    if (worker->has_dtls)
        dtls_free(&worker->dtls);
    heirs_free(&worker->heirs);
    ps_free(worker->ps);
    coap_free(worker->coap);
    uplink_free(worker->uplink);
    vault_free(&worker->vault);
    keys_wipe(worker, sizeof(*worker));
    free(worker);
}

enum worker_stage worker_stage(const struct worker *worker)
{
    return worker->stage;
}

uint16_t worker_id(const struct worker *worker)
{
    return member_id(&worker->member);
}

struct address worker_link_address(const struct worker *worker)
{
    return advertised_link(worker);
}

const char *worker_trouble(const struct worker *worker)
{
    const char *trouble = store_trouble(worker->options.store);
    if (!trouble)
        trouble = member_trouble(&worker->member);
    if (!trouble && worker->stage != WORKER_SERVING)
        trouble = "draining";
    if (!trouble && !cid_source_has(&worker->dtls.cids))
        trouble = "no lease of connection ids";
    return trouble;
}

void worker_drain(struct worker *worker)
{
    switch (worker->stage) {
    case WORKER_JOINING:
        worker->stage = WORKER_STOPPED;
        break;
    case WORKER_SERVING:
        worker->stage = WORKER_DRAINING;
        worker->drain_ms = io_now_ms(worker->options.io);
        member_drain(&worker->member);
        log_line(LOG_INFO, "worker", "draining", "id=%u sessions=%zu", worker_id(worker),
                 worker->dtls.sessions.by_cid.count);
        break;
    case WORKER_DRAINING:
    case WORKER_STOPPED:
    case WORKER_LOST:
        break;
    }
}

static void run_drain(struct worker *worker, uint64_t now_ms)
{
    uint64_t passed_ms = now_ms - worker->drain_ms;
    dtls_save(&worker->dtls);
    if (passed_ms >= DRAIN_LEAST_MS && dtls_is_saved(&worker->dtls) &&
        worker->commits + worker->relations.saving == 0)
        member_leave(&worker->member);
    if (passed_ms >= DRAIN_MOST_MS || member_is_gone(&worker->member))
        worker->stage = WORKER_STOPPED;
}

void worker_run(struct worker *worker, uint64_t now_ms)
{
    if (worker->stage == WORKER_DRAINING)
        run_drain(worker, now_ms);
    member_run(&worker->member, now_ms);
    if (!worker->has_dtls) {
        (void)store_run(worker->options.store, now_ms);
        return;
    }
    const struct coap_now now = worker_coap_now(now_ms);
    coap_turn(worker->coap, now); /* the store answers from within dtls_run */
    dtls_run(&worker->dtls, now_ms);
    heirs_run(&worker->heirs, now_ms);
    ps_run(worker->ps, now_ms);
    client_run(&worker->client, now_ms);
    relations_run(&worker->relations, now_ms);
    coap_run(worker->coap, now);
    uplink_set_health(worker->uplink, worker_id(worker),
                      worker->stage == WORKER_SERVING ? FRAME_STATE_SERVING : FRAME_STATE_DRAINING,
                      (uint32_t)worker->dtls.sessions.by_cid.count);
    uplink_flush(worker->uplink);
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t worker_next_ms(const struct worker *worker)
{
    uint64_t next_ms =
        sooner(member_next_ms(&worker->member), store_next_ms(worker->options.store));
    if (worker->stage == WORKER_DRAINING)
        next_ms = sooner(next_ms, io_now_ms(worker->options.io) + PING_INTERVAL_MS / 2);
    if (!worker->has_dtls)
        return next_ms;
    next_ms = sooner(next_ms, heirs_next_ms(&worker->heirs));
    next_ms = sooner(next_ms, ps_next_ms(worker->ps));
    next_ms = sooner(next_ms, client_next_ms(&worker->client));
    next_ms = sooner(next_ms, relations_next_ms(&worker->relations));
    return sooner(next_ms, sooner(dtls_next_ms(&worker->dtls), coap_next_ms(worker->coap)));
}
