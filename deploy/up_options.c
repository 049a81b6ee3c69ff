#include "deploy/up_options.h"

#include "shared/keys.h"
#include "shared/limits.h"
#include "shared/log.h"
#include "shared/psk_file.h"

#include <stdio.h>
#include <string.h>

const char *const up_io_names[] = {"auto", "uring", "mmsg", NULL};
const char *const up_log_names[] = {
    [LOG_ERROR] = "error", [LOG_WARN] = "warn", [LOG_INFO] = "info", [LOG_DEBUG] = "debug", NULL};

struct up_options up_options = {
    .coaps = {.port = 5684},
    .coap = {.port = 5683},
    .http = {.ip = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}, .port = 8080},
    .workers = 1,
    .threads = 1,
    .cid_length = CID_LENGTH_DEFAULT,
    .log = LOG_INFO,
    .store_url = UP_STORE_DEFAULT,
};

static enum status take_psk(void *target, const char *value, char *why, size_t why_size)
{
    const char *identity;
    size_t identity_length, key_length;
    uint8_t key[PSK_LENGTH_MAX];
    enum status status = option_parse_psk(value, strlen(value), &identity, &identity_length, key,
                                          sizeof key, &key_length);
    if (status == STATUS_OK)
        status = psk_set_add(target, identity, identity_length, key, key_length);
    keys_wipe(key, sizeof key);
    if (status == STATUS_EXISTS)
        (void)snprintf(why, why_size, "its identity has a key already; want each identity once");
    else if (status == STATUS_TOO_LONG)
        (void)snprintf(why, why_size,
                       "want an identity of at most %d octets and a key of at most %d",
                       IDENTITY_LENGTH_MAX, PSK_LENGTH_MAX);
    else if (status != STATUS_OK && status != STATUS_MALFORMED)
        (void)snprintf(why, why_size, "%s", status_text(status));
    return status;
}

static enum status take_psk_file(void *target, const char *value, char *why, size_t why_size)
{
    return psk_file_read(value, psk_set_add, target, why, why_size);
}

/* The scheme only: whoever opens the store says what else is wrong with its URL. */
static bool is_store_url(const char *value)
{
    static const char *const schemes[] = {"lmdb:", "redis:", "rediss:", "redis+", "rediss+"};
    if (strcmp(value, "memory:") == 0)
        return true;
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++) {
        if (strncmp(value, schemes[i], strlen(schemes[i])) == 0)
            return true;
    }
    return false;
}

static enum status take_store(void *target, const char *value, char *why, size_t why_size)
{
    /* One line of text, as a configuration file takes it: it may go to the children as one. */
    if (!is_store_url(value) || strpbrk(value, "\r\n")) {
        (void)snprintf(why, why_size, "want memory:, lmdb:DIR, redis://... or rediss://...");
        return STATUS_UNSUPPORTED;
    }
    *(const char **)target = value;
    return STATUS_OK;
}

static const struct option_row rows[] = {
    {.name = "coaps",
     .argument = "ADDR:PORT",
     .help = "where DTLS is taken ([::]:5684)",
     .kind = OPTION_ADDRESS,
     .target = &up_options.coaps},
    {.name = "coap",
     .argument = "ADDR:PORT",
     .help = "where plain CoAP is taken ([::]:5683)",
     .kind = OPTION_ADDRESS,
     .target = &up_options.coap},
    {.name = "http",
     .argument = "ADDR:PORT",
     .help = "/healthz, /readyz and /metrics (127.0.0.1:8080)",
     .kind = OPTION_ADDRESS,
     .target = &up_options.http},
    {.name = "psk",
     .argument = "ID:HEX",
     .help =
         "a device's identity and key; repeatable. Visible to all users of this machine while it "
         "stands here: --psk-file is not",
     .kind = OPTION_CUSTOM,
     .target = &up_options.psks,
     .parse = take_psk},
    {.name = "psk-file",
     .argument = "FILE",
     .help = "lines identity:hexkey, # comments; repeatable",
     .kind = OPTION_CUSTOM,
     .target = &up_options.psks,
     .parse = take_psk_file},
    {.name = "workers",
     .argument = "N",
     .help = "worker processes, 1 to 32 (1)",
     .kind = OPTION_NUMBER,
     .target = &up_options.workers,
     .min = 1,
     .max = UP_WORKERS_MAX},
    {.name = "store",
     .argument = "URL",
     .help = "where sessions are kept: memory:, lmdb:DIR, redis://..., rediss://... "
             "(" UP_STORE_DEFAULT "); lmdb: alone is in the state folder",
     .kind = OPTION_CUSTOM,
     .target = &up_options.store_url,
     .parse = take_store},
    {.name = "log",
     .argument = "LEVEL",
     .help = "error, warn, info or debug (info)",
     .kind = OPTION_CHOICE,
     .target = &up_options.log,
     .choices = up_log_names},
    {.name = "io",
     .argument = "BACKEND",
     .help = "auto, uring or mmsg (auto)",
     .kind = OPTION_CHOICE,
     .target = &up_options.io,
     .choices = up_io_names},
    {.name = "threads",
     .argument = "N",
     .help = "threads of the load balancer, 1 to 16 (1)",
     .kind = OPTION_NUMBER,
     .target = &up_options.threads,
     .min = 1,
     .max = LB_THREADS_MAX},
    {.name = "cid-length",
     .argument = "N",
     .help = "octets of the Connection IDs, 6 to 20 (8)",
     .kind = OPTION_NUMBER,
     .target = &up_options.cid_length,
     .min = CID_LENGTH_MIN,
     .max = CID_LENGTH_MAX},
    {.name = "plugtest",
     .help = "serve the resources of the ETSI CoAP plugtests too",
     .kind = OPTION_FLAG,
     .target = &up_options.plugtest},
    {.name = "cluster-key-file",
     .argument = "FILE",
     .help = "the cluster key, 64 hex digits (the state folder's; with --store memory: a fresh one "
             "for each start)",
     .kind = OPTION_TEXT,
     .target = &up_options.cluster_key_file},
    {.name = "state-dir",
     .argument = "DIR",
     .help = "for what outlives the node ($XDG_STATE_HOME/holdfast, ~/.local/state/holdfast)",
     .kind = OPTION_TEXT,
     .target = &up_options.state_dir},
};
_Static_assert(UP_WORKERS_MAX == 32 && LB_THREADS_MAX == 16 && CID_LENGTH_MIN == 6 &&
                   CID_LENGTH_MAX == 20 && CID_LENGTH_DEFAULT == 8,
               "the help names the bounds");

const struct option_table up_option_table = {
    .program = "holdfast up",
    .summary = "Runs one node: a load balancer and its workers, until SIGTERM or SIGINT.",
    .rows = rows,
    .count = sizeof rows / sizeof rows[0],
};
