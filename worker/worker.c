#include "worker/worker.h"

#include "shared/frame.h"
#include "worker/coap.h"
#include "worker/dtls.h"
#include "worker/uplink.h"
#include "worker/metrics.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

struct worker {
    struct worker_options options;
    struct uplink *uplink;
    struct coap *coap;
    struct dtls dtls;
    uint8_t reply[COAP_MESSAGE_SIZE_MAX];
};

/* --- upwards: link, DTLS, CoAP --- */

static struct coap_now coap_now_at(uint64_t now_ms)
{
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    return (struct coap_now){now_ms,
                             (uint64_t)wall.tv_sec * 1000 + (uint64_t)wall.tv_nsec / 1000000};
}

static void receive_plain(struct worker *worker, const struct path *path, const uint8_t *message,
                          size_t length)
{
    const struct coap_peer peer = {.address = path->address};
    struct writer reply = writer_over(worker->reply, sizeof(worker->reply));
    struct coap_commit commit;
    switch (coap_receive(worker->coap, &peer, coap_now_at(io_now_ms(worker->options.io)), message,
                         length, &reply, &commit)) {
    case COAP_REPLY:
        uplink_send(worker->uplink, path, worker->reply, writer_length(&reply));
        break;
    case COAP_SILENCE:
    case COAP_RESET:
    case COAP_COMMIT: /* over DTLS only */
    case COAP_DROPPED:
        break;
    }
}

static void receive_datagram(void *owner, const struct path *path, uint8_t *datagram, size_t length)
{
    struct worker *worker = owner;
    if (path->listener & FRAME_LISTENER_COAP)
        receive_plain(worker, path, datagram, length);
    else
        dtls_receive(&worker->dtls, io_now_ms(worker->options.io), path, datagram, length);
}

static void receive_content(void *owner, struct session *session, uint64_t now_ms,
                            const uint8_t *message, size_t length)
{
    struct worker *worker = owner;
    const struct coap_peer peer = {
        .session_id = session->id,
        .session = session,
        .address = session->path.address,
    };
    struct writer reply = writer_over(worker->reply, sizeof(worker->reply));
    struct coap_commit commit;
    switch (coap_receive(worker->coap, &peer, coap_now_at(now_ms), message, length, &reply,
                         &commit)) {
    case COAP_REPLY:
        dtls_send(&worker->dtls, session, worker->reply, writer_length(&reply));
        break;
    case COAP_RESET:
        if (session->ping_sent && commit.message_id == session->ping_id)
            dtls_path_answered(&worker->dtls, session);
        break;
    case COAP_COMMIT:
        /* This store forgets with its process: what coap remembers lasts as long. */
        if (coap_committed(worker->coap, session->id, commit.message_id, COAP_STORED, now_ms,
                           &reply) == COAP_REPLY)
            dtls_send(&worker->dtls, session, worker->reply, writer_length(&reply));
        break;
    case COAP_SILENCE:
    case COAP_DROPPED:
        break;
    }
}

/* --- downwards --- */

static void send_datagram(void *owner, const struct path *path, const uint8_t *datagram,
                          size_t length)
{
    struct worker *worker = owner;
    uplink_send(worker->uplink, path, datagram, length);
}

static size_t write_probe(void *owner, struct session *session, uint8_t *space, size_t size)
{
    (void)owner;
    struct writer writer = writer_over(space, size);
    if (!session->ping_sent)
        session->ping_id = session->next_message_id++;
    coap_write_ping(&writer, session->ping_id);
    return writer_ok(&writer) ? writer_length(&writer) : 0;
}

static void forget_session(void *owner, const struct session *session)
{
    struct worker *worker = owner;
    coap_forget(worker->coap, session->id);
}

/* --- beginning, turns, end --- */

static enum status new_coap(struct worker *worker)
{
    uint8_t seed[16];
    enum status status = keys_random(seed, sizeof(seed));
    if (status != STATUS_OK)
        return status;
    const struct coap_options options = {
        .worker_id = worker->options.id,
        .hash_key = hash_key_from(seed),
        .exchanges_max = COAP_EXCHANGES_MAX,
        .metrics = worker->options.metrics,
    };
    return coap_new(&worker->coap, &options);
}

static enum status new_uplink(struct worker *worker)
{
    const struct uplink_options options = {
        .io = worker->options.io,
        .bind = worker->options.link,
        .cluster_key = worker->options.cluster_key,
        .frame_size = worker->options.frame_size,
        .worker_id = worker->options.id,
        .metrics = worker->options.metrics,
        .receive = receive_datagram,
        .owner = worker,
    };
    return uplink_new(&worker->uplink, &options);
}

enum status worker_new(struct worker **created, const struct worker_options *options)
{
    struct worker *worker = calloc(1, sizeof(*worker));
    if (!worker)
        return STATUS_NO_MEMORY;
    worker->options = *options;
    const struct dtls_options dtls = {
        .cluster_key = options->cluster_key,
        .store = options->store,
        .metrics = options->metrics,
        .worker_id = options->id,
        .cid_length = options->cid_length,
        .cid_config_id = options->cid_config_id,
        .sessions_max = SESSIONS_MAX_DEFAULT,
        .handshakes_max = HANDSHAKES_MAX_DEFAULT,
        .send = send_datagram,
        .receive = receive_content,
        .probe = write_probe,
        .ended = forget_session,
        .owner = worker,
    };
    enum status status = dtls_init(&worker->dtls, &dtls, io_now_ms(options->io));
    if (status != STATUS_OK) {
        free(worker);
        return status;
    }
    status = new_coap(worker);
    if (status == STATUS_OK)
        status = new_uplink(worker);
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
    dtls_free(&worker->dtls);
    if (worker->coap)
        coap_free(worker->coap);
    uplink_free(worker->uplink);
    keys_wipe(worker, sizeof(*worker));
    free(worker);
}

struct address worker_link_address(const struct worker *worker)
{
    return uplink_local_address(worker->uplink);
}

bool worker_is_ready(const struct worker *worker)
{
    const struct cid_source *cids = &worker->dtls.cids;
    return cids->left + cids->spare_left > 0;
}

void worker_run(struct worker *worker, uint64_t now_ms)
{
    dtls_run(&worker->dtls, now_ms);
    coap_expire(worker->coap, now_ms);
    uplink_set_health(worker->uplink, FRAME_STATE_SERVING,
                    (uint32_t)worker->dtls.sessions.by_cid.count);
    uplink_flush(worker->uplink);
}

uint64_t worker_next_ms(const struct worker *worker)
{
    uint64_t dtls_ms = dtls_next_ms(&worker->dtls);
    uint64_t coap_ms = coap_next_ms(worker->coap);
    return dtls_ms < coap_ms ? dtls_ms : coap_ms;
}
