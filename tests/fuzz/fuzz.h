/* What each fuzz target defines: one run over one input, which may hold anything.
 * Returns 0; a wrong result is shown by abort() or by a sanitizer. Nothing of a run outlives it. */
#ifndef HOLDFAST_FUZZ_H
#define HOLDFAST_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
