// Operands drawn on the GPU, and blocks that keep SMs busy without using them.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

// A bijection that scatters well (the finalizer of MurmurHash3 with other shifts).
__device__ __forceinline__ u32 scatter(u32 h) {
    h ^= h >> 16; h *= 0x7feb352du;
    h ^= h >> 15; h *= 0x846ca68bu;
    return h ^ (h >> 16);
}

// Uniform in (0, 1), a function of place, seed and stream only.
__device__ __forceinline__ float uniform(u64 i, u32 seed, u32 stream) {
    u32 h = scatter((u32)i ^ scatter((u32)(i >> 32) + seed * 0x9e3779b9u + stream * 0x85ebca6bu));
    return ((float)(h >> 9) + 0.5f) * 1.1920929e-7f;
}

// By Box and Muller; the other of the two is thrown away.
__device__ __forceinline__ float normal(u64 i, u32 seed) {
    float radius = sqrtf(-2.0f * logf(uniform(i, seed, 1)));
    return radius * cospif(2.0f * uniform(i, seed, 2));
}

__device__ __forceinline__ u16 to_bf16(float x) {
    u32 bits = __float_as_uint(x);
    return (u16)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

// Nearest, ties to even, saturating at 448: without the instruction, so that every GPU can.
__device__ __forceinline__ u8 to_e4m3(float x) {
    u8 sign = (u8)((__float_as_uint(x) >> 24) & 0x80u);
    float a = fminf(fabsf(x), 448.0f);
    if (a < 0.015625f) return sign | (u8)(int)rintf(a * 512.0f);   // subnormal: multiples of 2^-9
    u32 bits = __float_as_uint(a);
    bits += 0x7ffffu + ((bits >> 20) & 1u);                        // three bits of fraction are kept
    return sign | (u8)((bits >> 20) - ((127u - 7u) << 3));
}

// kind: 0 BF16 normal, 1 E4M3 normal with a deviation of 20, 2 FP32 ones, 3 FP32 in (0.5, 1.5), 4 FP32 normal.
extern "C" __global__ void fill(u8* out, u64 count, u32 kind, u32 seed) {
    u64 step = (u64)gridDim.x * blockDim.x;
    for (u64 i = (u64)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += step) {
        if (kind == 0) ((u16*)out)[i] = to_bf16(normal(i, seed));
        else if (kind == 1) out[i] = to_e4m3(20.0f * normal(i, seed));
        else if (kind == 2) ((float*)out)[i] = 1.0f;
        else if (kind == 3) ((float*)out)[i] = 0.5f + uniform(i, seed, 3);
        else ((float*)out)[i] = normal(i, seed);
    }
}

extern "C" __global__ void empty() {}
