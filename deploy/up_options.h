/* The options of `holdfast up`. */
#ifndef HOLDFAST_DEPLOY_UP_OPTIONS_H
#define HOLDFAST_DEPLOY_UP_OPTIONS_H

#include "deploy/psk_set.h"
#include "shared/address.h"
#include "shared/option.h"

#include <stdbool.h>
#include <stdint.h>

/* What --store is unless it is given. */
#define UP_STORE_DEFAULT "lmdb:"

struct up_options {
    struct address coaps;
    struct address coap;
    struct address http;
    uint64_t workers;
    uint64_t threads;
    uint64_t cid_length;
    bool plugtest;                /* conformance resources too */
    int io;                       /* index into up_io_names */
    int log;                      /* enum log_level, and index into up_log_names */
    const char *state_dir;        /* NULL: the usual place */
    const char *cluster_key_file; /* NULL: one of our own, as the store asks for */
    const char *store_url;        /* of a known scheme; "lmdb:" alone: in the state folder */
    struct psk_set psks;          /* initialized before parsing */
};

extern const char *const up_io_names[];
extern const char *const up_log_names[];

/* The one set of options of the process, with its defaults, and the table that fills it. */
extern struct up_options up_options;
extern const struct option_table up_option_table;

#endif
