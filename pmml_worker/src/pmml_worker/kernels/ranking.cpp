// The best of a few candidates of each row, in order.
#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <vector>

#include "arrays.hpp"

namespace {

constexpr size_t kTile = 64;  // Rows brought together first: the candidates of one row lie far apart.

template <class T>
nb::ndarray<nb::numpy, int32_t> best(Matrix<T> points, Matrix<int32_t> names, size_t ranks) {
    const size_t count = points.shape(0), rows = points.shape(1);
    if (names.shape(0) != count || names.shape(1) != rows) throw std::invalid_argument("points and names differ in shape");
    auto* result = new std::vector<int32_t>(ranks * rows, -1);
    nb::capsule owner(result, [](void* pointer) noexcept { delete static_cast<std::vector<int32_t>*>(pointer); });
    if (ranks > 0) {
        nb::gil_scoped_release released;
        std::vector<T> tile(count * kTile), top(ranks);
        std::vector<int32_t> told(count * kTile), first(ranks);
        for (size_t start = 0; start < rows; start += kTile) {
            const size_t here = std::min(kTile, rows - start);
            for (size_t candidate = 0; candidate < count; ++candidate) {
                std::copy_n(points.data() + candidate * rows + start, here, tile.data() + candidate * kTile);
                std::copy_n(names.data() + candidate * rows + start, here, told.data() + candidate * kTile);
            }
            for (size_t row = 0; row < here; ++row) {
                size_t known = 0;
                for (size_t candidate = 0; candidate < count; ++candidate) {
                    const T value = tile[candidate * kTile + row];
                    if (!(value >= 0) || (known == ranks && !(value > top[ranks - 1]))) continue;
                    size_t place = known < ranks ? known++ : ranks - 1;
                    for (; place > 0 && top[place - 1] < value; --place) {
                        top[place] = top[place - 1];
                        first[place] = first[place - 1];
                    }
                    top[place] = value;
                    first[place] = told[candidate * kTile + row];
                }
                for (size_t rank = 0; rank < known; ++rank) (*result)[rank * rows + start + row] = first[rank];
            }
        }
    }
    return nb::ndarray<nb::numpy, int32_t>(result->data(), {ranks, rows}, owner);
}

}  // namespace

void register_ranking(nb::module_& module) {
    module.def("best", &best<double>, nb::arg("points"), nb::arg("names"), nb::arg("ranks"));
    module.def("best", &best<float>, nb::arg("points"), nb::arg("names"), nb::arg("ranks"));
}
