import re

import numpy as np
import pytest
import torch

from av_emotion_hf.models.arrays_av_emotion import as_array, describe, is_number, refuse_infinite


def test_numbers_become_arrays_without_a_copy():
    array = np.arange(3.0)
    assert as_array(array, "x") is array
    assert np.shares_memory(as_array(torch.from_numpy(array), "x"), array)
    assert as_array([[1, 2.5]], "x").tolist() == [[1, 2.5]]
    leaf = torch.tensor([1.5, 2.0], dtype=torch.bfloat16, requires_grad=True)
    assert as_array(leaf, "x").dtype == np.float32 and as_array(leaf, "x").tolist() == [1.5, 2.0]
    assert as_array(torch.tensor([1j]).conj(), "x").tolist() == [-1j]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[1.0], [1.0, 2.0]], "x given as a list of unequal parts: give an array of numbers"),
        ([torch.zeros(2, requires_grad=True), torch.zeros(3)], "x given as a list of unequal parts"),
        ("a.wav", "x given as a str without numbers: give an array of numbers"),
        ({"array": 1}, "x given as a dict without numbers"),
        (torch.eye(2).to_sparse(), "x given as a tensor without plain storage: give one as of to_dense()"),
        (np.zeros(2, object), "x given as a ndarray of object without numbers"),
    ],
)
def test_what_holds_no_numbers_is_named(values, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        as_array(values, "x")


def test_a_number_is_no_text():
    numbers = (1, 0.5, True, np.int64(1), np.float32(1), np.array(3), torch.tensor(2.0), np.True_)
    assert all(is_number(one) for one in numbers)
    others = ("1", np.str_("1"), np.array("1"), [1], np.zeros(1), torch.zeros(1), None)
    assert not any(is_number(one) for one in others)


def test_an_array_is_described_by_shape_type_and_range():
    assert describe(np.array([[1, -2]], np.int16)) == "shape (1, 2), type int16, values -2 to 1"
    assert describe(np.array([np.nan, 0.25, np.inf])) == "shape (3,), type float64, values 0.25 to 0.25"
    assert describe(np.zeros((0, 3))) == "shape (0, 3), type float64"


def test_values_that_are_not_finite_are_counted():
    refuse_infinite([np.ones(3), np.ones(0)], "x")
    with pytest.raises(ValueError, match=r"x of shape \(2,\), .*: 3 of 5 values are NaN or infinite; replace them"):
        refuse_infinite([np.array([np.nan, 1]), np.array([np.inf, -np.inf, 0])], "x")
