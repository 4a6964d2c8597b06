// A small thread pool.  Work is cut into chunks that depend on the sizes only; threads take the next
// chunk when they are free, so a busy neighbour costs little and the number of threads never changes
// a result.
#pragma once

#include <cstdint>
#include <type_traits>

namespace handgrad {

constexpr int kMaxThreads = 64;

using ChunkFunction = void (*)(void* context, int64_t chunk, int worker);

// Calls function(context, chunk, worker) for chunk = 0 .. count-1, worker < thread_count().
void run_chunks(int64_t count, ChunkFunction function, void* context);
int thread_count();
void set_thread_count(int count);

// Calls body(chunk, worker) for each chunk; body must not throw.
template <class Body>
void parallel(int64_t count, Body&& body) {
    using Plain = std::remove_reference_t<Body>;
    run_chunks(
        count,
        [](void* context, int64_t chunk, int worker) { (*static_cast<Plain*>(context))(chunk, worker); },
        const_cast<void*>(static_cast<const void*>(&body)));
}

}  // namespace handgrad
