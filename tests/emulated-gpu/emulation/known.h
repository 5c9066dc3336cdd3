// A kernel of kernels.cpp.
#pragma once
#include <cstddef>

struct Known {
    const char *name;
    void (*call)(void *const *arguments);
    // Of its arguments: how many, and the bytes of each.
    size_t count;
    size_t (*size)(size_t index);
};

const Known *find_kernel(const char *name);
