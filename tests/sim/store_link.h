/* How one process reaches the store: an engine of shared/store.h in front of backend.h. Questions
 * leave at once and arrive in order, like on one connection; the answer may be late, or be lost
 * with or without the question having been carried out. */
#ifndef HOLDFAST_TESTS_SIM_STORE_LINK_H
#define HOLDFAST_TESTS_SIM_STORE_LINK_H

#include "shared/store.h"
#include "tests/sim/step.h"

struct sim;

/* client: index among all that ask; life: of the process, which no other has. */
struct store *store_link_new(struct sim *sim, size_t client, uint64_t life);

/* A question arrives at the store; the step's question goes on. */
void store_link_arrive(struct sim *sim, struct step *step);
/* An answer arrives at its process: the store of that process, NULL if it is dead. */
void store_link_answer(struct sim *sim, struct store *store, struct step *step);

#endif
