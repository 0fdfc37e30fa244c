"""A TextGrid in both of its forms."""

LONG_TEXTGRID = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 3.5
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "cries"
        xmin = 0
        xmax = 3.5
        intervals: size = 3
        intervals [1]:
            xmin = 0
            xmax = 1.25
            text = ""
        intervals [1]:
            xmin = 1.25
            xmax = 2.5
            text = "Cry"
        intervals [1]:
            xmin = 2.5
            xmax = 3.5
            text = "-"
    item [2]:
        class = "TextTier"
        name = "coughs"
        xmin = 0
        xmax = 3.5
        points: size = 1
        points [1]:
            number = 0.5
            mark = "cough"
"""
SHORT_TEXTGRID = """File type = "ooTextFile"
Object class = "TextGrid"

0
3.5
<exists>
1
"IntervalTier"
"cries"
0
3.5
2
0
1.25
"-"
1.25
2.5
"Cry"
"""
