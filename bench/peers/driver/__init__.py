"""Puts Postrider and other push servers under the same work and writes down what each costs, keeps and loses."""
