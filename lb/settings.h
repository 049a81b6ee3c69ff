/* The lb's options as one struct: what was given, checked, with the defaults filled in. Read by all
 * threads, changed by none. */
#ifndef HOLDFAST_LB_SETTINGS_H
#define HOLDFAST_LB_SETTINGS_H

#include <stddef.h>
#include <stdint.h>

#include "lb/trunk.h"
#include "shared/address.h"
#include "shared/io.h"
#include "shared/keys.h"
#include "shared/limits.h"
#include "shared/log.h"
#include "shared/option.h"

struct settings_listeners {
    struct address addresses[LISTENERS_MAX];
    size_t count;
};

struct settings {
    struct settings_listeners coaps;
    struct settings_listeners coap; /* with those of coaps at most LISTENERS_MAX */
    struct address link;            /* thread n binds port + n; 0: each an ephemeral one */
    struct address http;
    const char *store_url; /* where the workers are listed; NULL: `workers` are all there are */
    struct trunk_worker workers[WORKERS_MAX]; /* at least one without store_url, none with it */
    size_t worker_count;
    struct cluster_key key;
    uint8_t cid_lengths[CID_CONFIGS_MAX]; /* by config id; 0: not in use */
    size_t threads;
    enum io_backend backend;
    enum log_level log_level;
    size_t frame_size; /* octets of a frame that fits the link's MTU */
    uint32_t handshake_rate;
    uint32_t handshake_burst;
    int ready_fd; /* -1: none */
};

/* OPTION_UNUSABLE: one line on stderr has said which option, and what would be right. The key is
 * wiped by the caller. */
enum option_outcome settings_parse(struct settings *settings, int argc, char *const *argv);

/* Lines on stderr like settings_parse's, for what shows only later. */
void settings_complain_bind(const char *option, const struct address *address, int error);
void settings_complain_store(const char *why);

#endif
