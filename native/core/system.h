// What depends on the operating system: processors, memory, forks.  Only system.cpp knows which one it is.
#pragma once

#include <cstdint>

namespace handgrad {

// The processors that this process may use; at least 1.
int processor_count();
// Lets another thread run in this one's place.
void yield_processor();
// Tells the processor that this thread waits in a loop.
void relax_processor();

// Returns `bytes` bytes aligned to `alignment`, nullptr where there is no memory.
void* aligned_memory(int64_t bytes, int64_t alignment);
void free_aligned(void* memory);

// Gives freed memory back to the system at once, where the allocator keeps it.
void return_freed_memory();

// Memory whose last page cannot be touched, so that any access behind the first `usable` bytes is a fault.
struct Guarded {
    void* base;      // nullptr where there is no memory
    int64_t usable;  // `bytes`, rounded up to pages
    int64_t length;  // with the page that cannot be touched
};
Guarded guarded_memory(int64_t bytes);
void free_guarded(void* base, int64_t length);

// Reads `bytes` bytes of an open file from `offset` on; false where there are not so many, or no file is read so.
bool read_at(int file, void* to, int64_t bytes, int64_t offset);

// Calls these in front of a fork, and behind it in parent and child; nothing where processes do not fork.
void at_fork(void (*before)(), void (*in_parent)(), void (*in_child)());

}  // namespace handgrad
