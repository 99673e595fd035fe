// e to the power of a number, for loops over lanes.
#pragma once

#include <bit>
#include <cstdint>

// e to the power of x, correctly rounded but for about one number in three hundred, where it is off by one unit in the last
// place; without a branch, so that lanes can share instructions. x = k ln 2 + r and e^r is its series, of which the first
// terms are summed with what their rounding loses: sums of kernel values cancel, and would show it. 2^k is in two
// factors so that results below the smallest normal number come out right.
inline double exponential(double x) {
    constexpr double kShift = 0x1.8p52;  // Added to a number below 2^51, it leaves the nearest integer in the last bits.
    constexpr double kLog2E = 0x1.71547652b82fep+0;
    constexpr double kLn2High = 0x1.62e42feep-1, kLn2Low = 0x1.a39ef35793c76p-33;
    x = x < -746.0 ? -746.0 : x;
    x = x > 710.0 ? 710.0 : x;
    const double k = (x * kLog2E + kShift) - kShift;
    const double high = x - k * kLn2High, low = k * kLn2Low;
    const double r = high - low;
    const double r_lost = (high - r) - low;
    const double front = std::bit_cast<double>(std::bit_cast<uint64_t>(r) & 0xfffffffff8000000);  // Its square is exact.
    const double back = r - front;
    const double square = 0.5 * (front * front), square_lost = 0.5 * (back * (r + front));
    double series = 1.0 / 6227020800;
    series = series * r + 1.0 / 479001600;
    series = series * r + 1.0 / 39916800;
    series = series * r + 1.0 / 3628800;
    series = series * r + 1.0 / 362880;
    series = series * r + 1.0 / 40320;
    series = series * r + 1.0 / 5040;
    series = series * r + 1.0 / 720;
    series = series * r + 1.0 / 120;
    series = series * r + 1.0 / 24;
    series = series * r + 1.0 / 6;
    const double linear = 1.0 + r, linear_lost = r - (linear - 1.0);
    const double sum = linear + square, sum_lost = square - (sum - linear);
    const double value = sum + (((r * r) * (r * series) + square_lost) + ((linear_lost + sum_lost) + r_lost * linear));
    const double half = k * 0.5 + kShift;
    const double rest = (k - (half - kShift)) + kShift;
    constexpr uint64_t kBias = 1023;
    const double first = std::bit_cast<double>((std::bit_cast<uint64_t>(half) + kBias) << 52);
    const double second = std::bit_cast<double>((std::bit_cast<uint64_t>(rest) + kBias) << 52);
    return (value * first) * second;
}
