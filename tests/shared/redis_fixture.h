/* A store on a redis-server of this test's own, and what it takes to see it fail and recover. */
#ifndef HOLDFAST_TESTS_SHARED_REDIS_FIXTURE_H
#define HOLDFAST_TESTS_SHARED_REDIS_FIXTURE_H

#include "tests/shared/redis_server.h"
#include "tests/shared/store_contract.h"

/* For the contract: state is the struct redis_server. */
extern const struct store_contract_engine redis_fixture_engine;

struct fixture {
    struct store_contract contract;
    struct redis_server *server;
    struct store *store;
};

void set_up(struct fixture *fixture);
/* As set_up, at a URL with something before the host or behind the port. */
void set_up_at(struct fixture *fixture, const char *before, const char *behind);
void tear_down(struct fixture *fixture);

/* Turns until the trouble has these words in it; NULL: until there is none. */
void wait_for(struct fixture *fixture, const char *words);
enum store_outcome try_create(struct fixture *fixture, const char *cid);
enum store_outcome try_claim(struct fixture *fixture, const char *cid);
/* The one key of this type and CID. */
const char *key_of(struct fixture *fixture, char type, const char *cid);

#endif
