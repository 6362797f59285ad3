// Flags between GPUs of one node: stores and loads that all of them agree on, and waits that end.
typedef unsigned int u32;
typedef unsigned long long u64;

__device__ __forceinline__ u64 nanoseconds() {
    u64 time;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(time));
    return time;
}

__device__ __forceinline__ void store_release(u64* flag, u64 value) {
    asm volatile("st.release.sys.global.u64 [%0], %1;" ::"l"(flag), "l"(value) : "memory");
}

__device__ __forceinline__ u64 load_acquire(const u64* flag) {
    u64 value;
    asm volatile("ld.acquire.sys.global.u64 %0, [%1];" : "=l"(value) : "l"(flag) : "memory");
    return value;
}

// Waits until `flag` is at least `value`; false when it is not after `patience` nanoseconds. The clock is read now and
// then only: a poll must stay cheap.
__device__ __forceinline__ bool wait_for(const u64* flag, u64 value, u64 patience) {
    u64 start = 0;
    for (u32 polls = 1;; polls++) {
        if (load_acquire(flag) >= value) return true;
        if (polls % 1024 == 0) {
            u64 now = nanoseconds();
            if (start == 0) start = now;
            if (now - start > patience) return false;
        }
    }
}
