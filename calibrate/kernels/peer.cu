// Two GPUs of one node and each other's memory: bytes, a flag, and a common start.

// Holds a stream until the host says go, so that the streams of several GPUs start together. `late` is set by one that
// gave up.
extern "C" __global__ void gate(const u64* go, u64 turn, u64 patience, u64* late) {
    if (!wait_for(go, turn, patience)) store_release(late, 1);
}

// `n` words of 16 bytes from this GPU's memory to a peer's: one block an SM, four loads in flight a thread.
extern "C" __global__ void __launch_bounds__(512, 1)
push(uint4* __restrict__ to, const uint4* __restrict__ from, u64 n) {
    u64 step = (u64)gridDim.x * blockDim.x;
    u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x;
    for (; i + 3 * step < n; i += 4 * step) {
        uint4 a = __ldcs(from + i), b = __ldcs(from + i + step);
        uint4 c = __ldcs(from + i + 2 * step), d = __ldcs(from + i + 3 * step);
        to[i] = a;
        to[i + step] = b;
        to[i + 2 * step] = c;
        to[i + 3 * step] = d;
    }
    for (; i < n; i += step) to[i] = __ldcs(from + i);
}

// One thread a GPU: a flag goes to the peer and back `warm + rounds` times. `turn` lives on between launches, so that a
// flag left by the last one is never mistaken for a new one. The nanoseconds of `rounds` round trips; 0 if one got lost.
extern "C" __global__ void
ping(u64* theirs, const u64* mine, u64* turn, u32 warm, u32 rounds, u32 serves, u64 patience, u64* elapsed) {
    u64 value = *turn, start = nanoseconds();
    *elapsed = 0;
    for (u32 i = 0; i < warm + rounds; i++) {
        if (i == warm) start = nanoseconds();
        value++;
        if (serves) store_release(theirs, value);
        if (!wait_for(mine, value, patience)) return;
        if (!serves) store_release(theirs, value);
    }
    *elapsed = nanoseconds() - start;
    *turn = value;
}

// Counts the words of 16 bytes in which `a` and `b` differ.
extern "C" __global__ void differ(const uint4* a, const uint4* b, u64 n, u64* count) {
    u64 step = (u64)gridDim.x * blockDim.x, wrong = 0;
    for (u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step) {
        uint4 x = a[i], y = b[i];
        wrong += (x.x ^ y.x | x.y ^ y.y | x.z ^ y.z | x.w ^ y.w) != 0;
    }
    if (wrong) atomicAdd(count, wrong);
}
